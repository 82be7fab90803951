//! The test eUICC of the SGP.23 cases with an LPA that calls an SM-DS.

use std::ops::Deref;

use certs::EuiccCredentials;
use rsp::sgp22::Function;
use rsp::sgp22::es11::{
    AuthenticateClient, AuthenticateClientOk, InitiateAuthentication, InitiateAuthenticationOk,
    InitiateAuthenticationRequest,
};
use rsp::sgp22::json::{self, Answer};
use serde::{Serialize, de::DeserializeOwned};
use sgp23::euicc::Authenticate;
use sm_ds::SmDs;
use world::SeededRandom;

use super::{ADDRESS, Expect, VERSION};

/// An eUICC and its LPA.
pub(crate) struct Euicc(sgp23::euicc::Euicc);

impl Deref for Euicc {
    type Target = sgp23::euicc::Euicc;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Euicc {
    pub(crate) fn new(credentials: EuiccCredentials, random: SeededRandom) -> Self {
        Self(sgp23::euicc::Euicc::new(credentials, random).unwrap())
    }

    pub(crate) fn initiation(&self) -> InitiateAuthenticationRequest {
        let request = self.0.initiation(ADDRESS);
        InitiateAuthenticationRequest {
            euicc_challenge: request.euicc_challenge,
            smds_address: request.smdp_address,
            euicc_info1: request.euicc_info1,
        }
    }

    pub(crate) async fn initiate(&self, server: &SmDs) -> InitiateAuthenticationOk {
        call::<InitiateAuthentication>(server, &self.initiation()).await.done()
    }

    /// Builds the response to the server's challenge. The event ID is sent as the MatchingID.
    pub(crate) fn proof(&self, ok: &InitiateAuthenticationOk, event_id: Option<&str>) -> Authenticate {
        let mut proof = self.authenticate(ok, "");
        proof.matching_id = event_id.map(str::to_owned);
        proof
    }

    /// Calls InitiateAuthentication and AuthenticateClient.
    pub(crate) async fn try_authenticate(
        &self,
        server: &SmDs,
        event_id: Option<&str>,
    ) -> Answer<AuthenticateClientOk> {
        let ok = self.initiate(server).await;
        call::<AuthenticateClient>(server, &self.proof(&ok, event_id).request().unwrap()).await
    }

    /// Returns the IDs of the events that the server returns.
    pub(crate) async fn events(&self, server: &SmDs, event_id: Option<&str>) -> Vec<String> {
        let ok = self.try_authenticate(server, event_id).await.done();
        ok.event_entries.into_iter().map(|entry| entry.event_id).collect()
    }
}

/// Calls a function of ES11 at the path of ES9+, as most LPAs do.
pub(crate) async fn call<F: Function>(server: &SmDs, request: &F::Request) -> Answer<F::Reply>
where
    F::Request: Serialize,
    F::Reply: DeserializeOwned,
{
    let response = server.handle(json::request(&F::path(), VERSION, request)).await;
    json::answer(&response).unwrap()
}
