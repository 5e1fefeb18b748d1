"""The verbs: one public function is one transaction."""
