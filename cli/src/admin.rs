//! Client of an SM-DP+'s admin API.

use bytes::Bytes;
use http::{Method, Request, header};
use rsp::{
    ids::{Eid, Iccid},
    sgp22::json::base64_octets,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use world::{Fault, Link};

/// A client of the admin API.
#[derive(Clone)]
pub struct Admin {
    link: Link,
    address: String,
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
        Ok(Self { link: net::Client::default().link(address, None)?, address: address.to_owned() })
    }

    /// Returns all profiles, ordered or not.
    ///
    /// # Errors
    /// The API is unreachable or refuses the request.
    pub async fn stock(&self) -> Result<Vec<Profile>, Fault> {
        self.call(Method::GET, "/admin/v1/stock", Vec::new()).await
    }

    /// Adds a profile package to the stock.
    ///
    /// # Errors
    /// The API is unreachable or refuses the request.
    pub async fn add(&self, package: &[u8], profile_type: &str) -> Result<Profile, Fault> {
        let body = serde_json::to_vec(&NewProfile { package, profile_type })
            .map_err(|e| Fault::caused_by(e, "cannot write the request", "report this"))?;
        self.call(Method::POST, "/admin/v1/stock", body).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &'static str,
        body: Vec<u8>,
    ) -> Result<T, Fault> {
        let invalid = |why: String| {
            Fault::new(
                format!("invalid response from the admin API at {}", self.address),
                why,
                "check that --admin is the address that the SM-DP+ prints at start",
            )
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|e| invalid(e.to_string()))?;
        let response = world::send(&self.link, request).await?;
        if response.status().is_success() {
            return serde_json::from_slice(response.body()).map_err(|e| invalid(e.to_string()));
        }
        match serde_json::from_slice::<Problem>(response.body()) {
            Ok(problem) => Err(Fault::new(problem.what, problem.why, problem.next).refused_with(None)),
            Err(_) => Err(invalid(format!("HTTP status {}", response.status()))),
        }
    }
}
