//! The platform's HTTP API: HTTP and JSON.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use world::{Fault, Link, LinkFault, link_from};

use crate::{platform::Platform, problem::Problem};

/// Where devices check in.
pub const CHECK_IN: &str = "/v1/check-in";

impl Platform {
    /// The API as a link.
    pub fn link(&self) -> Link {
        let platform = self.clone();
        link_from(tower::service_fn(move |request| {
            let platform = platform.clone();
            async move { Ok::<_, LinkFault>(platform.answer(&request).await) }
        }))
    }

    async fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let answered = match (request.method(), request.uri().path()) {
            (&Method::POST, CHECK_IN) => self.answer_check_in(request).await,
            (method, path) => Err(Problem::not_found(
                format!("cannot {method} {path}"),
                "the platform has no such function",
                "GET /openapi.json lists what there is",
            )),
        };
        answered.unwrap_or_else(|problem| response(problem.status, &problem).unwrap_or_default())
    }

    async fn answer_check_in(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, Problem> {
        let instruction = self.check_in(&read(request)?).await?;
        Ok(response(StatusCode::OK, &instruction)?)
    }
}

fn read<T: DeserializeOwned>(request: &Request<Bytes>) -> Result<T, Problem> {
    serde_json::from_slice(request.body()).map_err(|error| {
        let path = request.uri().path();
        let next = "GET /openapi.json says what is understood here";
        Problem::bad_request(format!("cannot read the body of {path}"), error.to_string(), next)
    })
}

fn response(status: StatusCode, body: &impl Serialize) -> Result<Response<Bytes>, Fault> {
    let body = serde_json::to_vec(body).map_err(|error| {
        Fault::caused_by(error, "cannot write the reply as JSON", "report this: a reply does not fit JSON")
    })?;
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}
