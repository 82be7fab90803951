//! Client of an SM-DP+'s admin API.

use http::Method;
use rsp::{
    ids::{Eid, Iccid},
    sgp22::json::base64_octets,
};
use rsp_server::{Namespace, api::MAX_LIMIT};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use world::Fault;

use crate::{advice::Server, api_client::ApiClient};

/// A client of the admin API.
#[derive(Clone)]
pub struct Admin(ApiClient);

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

impl Admin {
    /// Creates a client for the API at `host:port`.
    ///
    /// # Errors
    /// The address is invalid.
    pub fn at(address: &str) -> Result<Self, Fault> {
        ApiClient::at(address, Server::Admin).map(Self)
    }

    /// Sets the namespace of all requests.
    #[must_use]
    pub fn in_namespace(self, namespace: &Namespace) -> Self {
        Self(self.0.with_header(Namespace::HEADER, namespace.as_str()))
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
        self.0.list(first).await
    }

    /// Returns the entry that a search or a wait found, if it found one.
    ///
    /// # Errors
    /// The API is unreachable or refuses the request.
    pub async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Fault> {
        self.0.find(path).await
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
        self.0.write(Method::POST, path, body).await
    }
}
