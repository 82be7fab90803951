//! Client of an SM-DP+'s admin API.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use rsp::{
    ids::{Eid, Iccid},
    sgp22::json::base64_octets,
};
use rsp_server::{
    Namespace,
    api::{MAX_LIMIT, next_page},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use world::{Fault, Link};

/// A client of the admin API.
#[derive(Clone)]
pub struct Admin {
    link: Link,
    address: String,
    namespace: Namespace,
}

/// A profile in stock, as the API describes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// ICCID of the profile.
    pub iccid: Iccid,
    /// Profile type.
    pub profile_type: String,
    /// Name of the profile's state.
    pub state: String,
    /// EIDs of the eUICCs on which the profile is installed.
    pub installed_on: Vec<Eid>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewProfile<'a> {
    #[serde(with = "base64_octets")]
    package: &'a [u8],
    profile_type: &'a str,
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

impl Admin {
    /// Creates a client for the API at `host:port`.
    ///
    /// # Errors
    /// The address is invalid.
    pub fn at(address: &str) -> Result<Self, Fault> {
        let link = net::Client::default().link(address, None)?;
        Ok(Self { link, address: address.to_owned(), namespace: Namespace::default() })
    }

    /// Sets the namespace of all requests.
    pub fn in_namespace(mut self, namespace: &Namespace) -> Self {
        self.namespace = namespace.clone();
        self
    }

    /// Returns all profiles, ordered or not.
    ///
    /// # Errors
    /// The API is unreachable or refuses the request.
    pub async fn stock(&self) -> Result<Vec<Profile>, Fault> {
        self.list(&format!("/admin/v1/stock?limit={MAX_LIMIT}")).await
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

    /// Adds a profile package to the stock.
    ///
    /// # Errors
    /// The API is unreachable or refuses the request.
    pub async fn add(&self, package: &[u8], profile_type: &str) -> Result<Profile, Fault> {
        self.post("/admin/v1/stock", &NewProfile { package, profile_type }).await
    }

    /// Sends a request that creates an entry.
    ///
    /// # Errors
    /// The API is unreachable or refuses the request.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Fault> {
        let body = serde_json::to_vec(body)
            .map_err(|e| Fault::caused_by(e, "cannot write the request", "report this"))?;
        self.decoded(&self.send(Method::POST, path, body).await?)
    }

    async fn send(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Response<Bytes>, Fault> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .header(Namespace::HEADER, self.namespace.as_str())
            .body(Bytes::from(body))
            .map_err(|e| self.invalid(e.to_string()))?;
        let response = world::send(&self.link, request).await?;
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
        Fault::new(
            format!("invalid response from the admin API at {}", self.address),
            why,
            "check that --admin is the address that the SM-DP+ prints at start",
        )
    }
}
