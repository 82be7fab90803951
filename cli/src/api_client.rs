//! Client of a JSON API: pages of lists, and errors with advice.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use rsp_server::api::next_page;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use world::{Fault, Link};

use crate::advice::{Server, advised};

/// A client of an API without TLS.
#[derive(Clone)]
pub struct ApiClient {
    link: Link,
    address: String,
    server: Server,
    /// A header of all requests.
    header: Option<(&'static str, String)>,
}

/// A page of a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Page<T> {
    Elements(Vec<T>),
    Events { events: Vec<T> },
}

#[derive(Deserialize)]
struct Problem {
    what: String,
    why: String,
    next: String,
}

impl ApiClient {
    /// Creates a client for the API of `server` at `host:port`.
    ///
    /// # Errors
    /// The address is invalid.
    pub fn at(address: &str, server: Server) -> Result<Self, Fault> {
        let link = net::Client::default().link(address, None)?;
        Ok(Self { link, address: address.to_owned(), server, header: None })
    }

    /// Adds a header to all requests.
    #[must_use]
    pub fn with_header(self, name: &'static str, value: &str) -> Self {
        Self { header: Some((name, value.to_owned())), ..self }
    }

    /// Returns the elements of all pages of a list.
    ///
    /// # Errors
    /// The API is unreachable or refuses the request.
    pub async fn list<T: DeserializeOwned>(&self, first: &str) -> Result<Vec<T>, Fault> {
        let mut elements = Vec::new();
        let mut next = Some(first.to_owned());
        while let Some(path) = next {
            let response = self.send(Method::GET, &path, Vec::new()).await?;
            elements.extend(match self.decoded(&response)? {
                Page::Elements(elements) | Page::Events { events: elements } => elements,
            });
            next = next_page(response.headers()).map(str::to_owned);
        }
        Ok(elements)
    }

    /// Returns the entry that a search or a wait found, if it found one.
    ///
    /// # Errors
    /// The API is unreachable or refuses the request.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Fault> {
        let response = self.send(Method::GET, path, Vec::new()).await?;
        match response.status() {
            StatusCode::NO_CONTENT => Ok(None),
            _ => self.decoded(&response).map(Some),
        }
    }

    /// Sends a body. Returns the reply.
    ///
    /// # Errors
    /// The API is unreachable or refuses the request.
    pub async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        let body = serde_json::to_vec(body)
            .map_err(|e| Fault::caused_by(e, "cannot write the request", "report this"))?;
        self.decoded(&self.send(method, path, body).await?)
    }

    /// Deletes an entry.
    ///
    /// # Errors
    /// The API is unreachable or refuses the request.
    pub async fn delete(&self, path: &str) -> Result<(), Fault> {
        self.send(Method::DELETE, path, Vec::new()).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Response<Bytes>, Fault> {
        let mut request =
            Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
        if let Some((name, value)) = &self.header {
            request = request.header(*name, value);
        }
        let request = request.body(Bytes::from(body)).map_err(|e| self.invalid(e.to_string()))?;
        let response =
            world::send(&self.link, request).await.map_err(|fault| advised(fault.into(), self.server))?;
        if response.status().is_success() {
            return Ok(response);
        }
        match serde_json::from_slice::<Problem>(response.body()) {
            Ok(problem) => Err(Fault::new(problem.what, problem.why, problem.next).refused_with(None)),
            Err(_) => Err(self.invalid(format!("HTTP status {}", response.status()))),
        }
    }

    fn decoded<T: DeserializeOwned>(&self, response: &Response<Bytes>) -> Result<T, Fault> {
        serde_json::from_slice(response.body()).map_err(|e| self.invalid(e.to_string()))
    }

    fn invalid(&self, why: String) -> Fault {
        let next = self.server.next(world::LinkFaultKind::Protocol);
        Fault::new(format!("invalid response from the API at {}", self.address), why, next)
    }
}
