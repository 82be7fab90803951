//! Validates requests and responses against an OpenAPI document.
//!
//! Supports only the JSON Schema keywords that the document uses. An unknown keyword fails the
//! test.

use http::{Method, StatusCode};
use serde_json::{Map, Value};

/// An OpenAPI document.
pub(crate) struct OpenApi(pub(crate) Value);

impl OpenApi {
    /// Returns the method and path template of every operation, except those of the health
    /// endpoints, which the program adds to the port.
    pub(crate) fn operations(&self) -> Vec<(Method, String)> {
        let paths = self.0["paths"].as_object().unwrap();
        let paths = paths.iter().filter(|(path, _)| !matches!(path.as_str(), "/healthz" | "/readyz"));
        let all = paths.flat_map(|(path, operations)| {
            operations.as_object().unwrap().keys().map(move |method| {
                (Method::from_bytes(method.to_uppercase().as_bytes()).unwrap(), path.clone())
            })
        });
        all.collect()
    }

    /// Checks that the document has the operation, and that the query and body are valid. The error
    /// describes the violation.
    pub(crate) fn check_request(
        &self,
        method: &Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<(), String> {
        let operation = self.operation(method, target)?;
        let (_, query) = target.split_once('?').unwrap_or((target, ""));
        for (name, _) in query.split('&').filter_map(|pair| pair.split_once('=')) {
            let known = operation["parameters"].as_array().unwrap();
            if !known.iter().any(|parameter| parameter["name"] == name && parameter["in"] == "query") {
                return Err(format!("parameter {name} is not in the document"));
            }
        }
        match (body, operation.get("requestBody")) {
            (None, None) => Ok(()),
            (Some(body), Some(described)) => {
                self.check(body, &described["content"]["application/json"]["schema"], "body")
            }
            _ => Err("the presence of the body does not match the document".to_owned()),
        }
    }

    /// Checks that the document describes this response.
    pub(crate) fn check_response(
        &self,
        method: &Method,
        target: &str,
        status: StatusCode,
        body: Option<&Value>,
    ) -> Result<(), String> {
        let responses = &self.operation(method, target)?["responses"];
        let described = match responses.get(status.as_str()) {
            Some(described) => described,
            None if status.is_success() => return Err(format!("{status} is not in the document")),
            None => &responses["default"],
        };
        match (body, described.get("content")) {
            (None, None) => Ok(()),
            (Some(body), Some(content)) => self.check(body, &content["application/json"]["schema"], "body"),
            _ => Err(format!("{status}: the presence of the body does not match the document")),
        }
    }

    fn operation(&self, method: &Method, target: &str) -> Result<&Value, String> {
        let path = target.split('?').next().unwrap();
        let paths = self.0["paths"].as_object().unwrap();
        let fits = |template: &str| {
            let (template, path): (Vec<_>, Vec<_>) =
                (template.split('/').collect(), path.split('/').collect());
            template.len() == path.len()
                && template.iter().zip(&path).all(|(t, p)| t == p || (t.starts_with('{') && !p.is_empty()))
        };
        let (_, operations) = paths
            .iter()
            .find(|(template, _)| fits(template))
            .ok_or(format!("{path} is not in the document"))?;
        let method = method.as_str().to_lowercase();
        operations.get(&method).ok_or(format!("{method} {path} is not in the document"))
    }

    fn check(&self, value: &Value, schema: &Value, at: &str) -> Result<(), String> {
        let Value::Object(keywords) = schema else {
            assert_eq!(schema, &Value::Bool(true), "a schema that no value matches, at {at}");
            return Ok(());
        };
        for (keyword, expected) in keywords {
            self.check_keyword(value, keywords, keyword, expected, at)?;
        }
        Ok(())
    }

    fn check_keyword(
        &self,
        value: &Value,
        schema: &Map<String, Value>,
        keyword: &str,
        expected: &Value,
        at: &str,
    ) -> Result<(), String> {
        let no = |why: String| Err(format!("{at}: {value} {why}"));
        match keyword {
            "$ref" => {
                let pointer = expected.as_str().unwrap().strip_prefix('#').unwrap();
                let target = self.0.pointer(pointer).unwrap_or_else(|| panic!("{expected} does not resolve"));
                self.check(value, target, at)
            }
            "type" => {
                let types = expected.as_array().cloned().unwrap_or_else(|| vec![expected.clone()]);
                let is = |name: &Value| match name.as_str().unwrap() {
                    "null" => value.is_null(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "number" => value.is_number(),
                    "string" => value.is_string(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    other => panic!("type {other} is not supported by this test"),
                };
                if types.iter().any(is) { Ok(()) } else { no(format!("is not of type {expected}")) }
            }
            "allOf" => {
                let all = expected.as_array().unwrap();
                all.iter().try_for_each(|schema| self.check(value, schema, at))
            }
            "properties" => {
                let Some(object) = value.as_object() else { return Ok(()) };
                for (name, schema) in expected.as_object().unwrap() {
                    if let Some(value) = object.get(name) {
                        self.check(value, schema, &format!("{at}.{name}"))?;
                    }
                }
                Ok(())
            }
            "required" => {
                let Some(object) = value.as_object() else { return Ok(()) };
                let missing =
                    expected.as_array().unwrap().iter().find(|n| !object.contains_key(n.as_str().unwrap()));
                missing.map_or(Ok(()), |name| no(format!("has no {name}")))
            }
            "additionalProperties" => {
                let Some(object) = value.as_object() else { return Ok(()) };
                let known = schema.get("properties").and_then(Value::as_object);
                let is_known = |name: &str| known.is_some_and(|known| known.contains_key(name));
                if schema.contains_key("patternProperties") {
                    return Ok(());
                }
                let mut others = object.iter().filter(|(name, _)| !is_known(name));
                if *expected != Value::Bool(false) {
                    return others
                        .try_for_each(|(name, it)| self.check(it, expected, &format!("{at}.{name}")));
                }
                let other = others.next();
                other.map_or(Ok(()), |(name, _)| no(format!("has {name}, which is not in the document")))
            }
            // Names are checked by the server's own parsers.
            "patternProperties" => {
                let Some(object) = value.as_object() else { return Ok(()) };
                let all = expected.as_object().unwrap().values();
                all.flat_map(|schema| object.iter().map(move |(name, it)| (schema, name, it)))
                    .try_for_each(|(schema, name, it)| self.check(it, schema, &format!("{at}.{name}")))
            }
            "items" => {
                let items = value.as_array().into_iter().flatten().enumerate();
                items.into_iter().try_for_each(|(i, item)| self.check(item, expected, &format!("{at}[{i}]")))
            }
            "uniqueItems" => {
                let items = value.as_array().map_or(&[] as &[Value], Vec::as_slice);
                let repeated =
                    items.iter().enumerate().any(|(i, item)| items.iter().take(i).any(|it| it == item));
                if repeated { no("has equal items".to_owned()) } else { Ok(()) }
            }
            "enum" => {
                if expected.as_array().unwrap().contains(value) {
                    Ok(())
                } else {
                    no(format!("is not in {expected}"))
                }
            }
            "const" => {
                if expected == value {
                    Ok(())
                } else {
                    no(format!("is not {expected}"))
                }
            }
            "oneOf" | "anyOf" => {
                let fitting =
                    expected.as_array().unwrap().iter().filter(|s| self.check(value, s, at).is_ok()).count();
                let enough = if keyword == "oneOf" { fitting == 1 } else { fitting > 0 };
                if enough { Ok(()) } else { no(format!("matches {fitting} of {expected}")) }
            }
            "minimum" => {
                if value.is_number() && value.as_f64() < expected.as_f64() {
                    no(format!("is less than {expected}"))
                } else {
                    Ok(())
                }
            }
            "maximum" => {
                if value.is_number() && value.as_f64() > expected.as_f64() {
                    no(format!("is more than {expected}"))
                } else {
                    Ok(())
                }
            }
            // Patterns and formats are checked by the server's own parsers.
            "pattern" | "format" | "contentEncoding" | "description" | "title" | "default" => Ok(()),
            other => panic!("keyword {other} is not supported by this test"),
        }
    }
}
