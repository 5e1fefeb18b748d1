"use strict";
const place = document.getElementById("swagger");
SwaggerUIBundle({ url: place.dataset.spec, domNode: place, deepLinking: false, validatorUrl: null, docExpansion: "none", defaultModelsExpandDepth: -1 });
