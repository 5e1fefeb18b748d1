"use strict";
const place = document.getElementById("swagger");
document.documentElement.classList.toggle("dark-mode", document.documentElement.dataset.theme !== "light");
SwaggerUIBundle({ url: place.dataset.spec, domNode: place, deepLinking: false, validatorUrl: null, docExpansion: "none", defaultModelsExpandDepth: -1 });
