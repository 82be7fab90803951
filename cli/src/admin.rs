//! The admin API of an SM-DP+, from the side of those who run the bench.

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

/// A profile in stock.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// Which one.
    pub iccid: Iccid,
    /// Its kind.
    pub profile_type: String,
    /// The name of its state.
    pub state: String,
    /// The eUICCs it is on.
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
    /// The API at `host:port`.
    ///
    /// # Errors
    /// That is no address.
    pub fn at(address: &str) -> Result<Self, Fault> {
        Ok(Self { link: net::Client::default().link(address, None)?, address: address.to_owned() })
    }

    /// Every profile, ordered or not.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
    pub async fn stock(&self) -> Result<Vec<Profile>, Fault> {
        self.call(Method::GET, "/admin/v1/stock", Vec::new()).await
    }

    /// Puts a profile package into stock.
    ///
    /// # Errors
    /// The API does not answer, or refuses.
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
        let strange = |why: String| {
            Fault::new(
                format!("no usable answer from the admin API at {}", self.address),
                why,
                "check that --admin is the address that the SM-DP+ names when it starts",
            )
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Bytes::from(body))
            .map_err(|e| strange(e.to_string()))?;
        let response = world::send(&self.link, request).await?;
        if response.status().is_success() {
            return serde_json::from_slice(response.body()).map_err(|e| strange(e.to_string()));
        }
        match serde_json::from_slice::<Problem>(response.body()) {
            Ok(problem) => Err(Fault::new(problem.what, problem.why, problem.next)),
            Err(_) => Err(strange(format!("HTTP status {}", response.status()))),
        }
    }
}
