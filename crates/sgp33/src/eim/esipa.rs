//! ESipa from the IPA's side, in both bindings: SGP.32 sections 5.14 and 6.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use rsp::der::{Raw, tlv, tlv_bytes};
use rsp::finding;
use rsp::ids::{Eid, TransactionId};
use rsp::sgp22::Function;
use rsp::sgp32::esipa::{
    self, EimPackageResult, GetEimPackageRequest, GetEimPackageResponse, HandleNotificationRequest,
    MessageFromIpa, ProvideEimPackageResultRequest, ProvideEimPackageResultResponse, Reply, USER_AGENT_IPAD,
};
use rsp::sgp32::{EuiccPackageRequest, EuiccPackageResult, Version};
use serde::Serialize;
use sgp23::{Binding, During, Stop, Verdict, ensure};

use super::testbed::{Testbed, data_of};

/// Maximum requests for data before the package of an order.
const MAX_DATA_REQUESTS: usize = 3;

impl Testbed<'_> {
    /// Sends a request as an IPA.
    ///
    /// # Errors
    /// There is no response.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Stop> {
        Ok(world::send(&self.esipa, request).await?)
    }

    /// Builds the HTTP request of a function in the binding of the case.
    pub(crate) fn http<F: Function<Request: Serialize + Clone>>(
        &self,
        request: &F::Request,
        message: impl FnOnce(F::Request) -> MessageFromIpa,
    ) -> Request<Bytes> {
        let version = self.eim.version;
        let request = match self.binding {
            Binding::Json => esipa::json::request::<F>(version, USER_AGENT_IPAD, request),
            Binding::Asn1 => {
                esipa::asn1::request(version, Version::V1_2, USER_AGENT_IPAD, &message(request.clone()))
            }
        };
        if self.adds_unknown { request.map(|body| self.with_unknown_element(&body)) } else { request }
    }

    /// Adds an element that no version of SGP.32 defines to the body of a request.
    fn with_unknown_element(&self, body: &[u8]) -> Bytes {
        match self.binding {
            Binding::Json => {
                let text = String::from_utf8_lossy(body);
                text.replacen('{', r#"{"elementOfALaterVersion":[1,{"a":null}],"#, 1).into_bytes().into()
            }
            Binding::Asn1 => match tlv::split(body) {
                Some((tag, contents)) => {
                    tlv_bytes(tag, &[contents, &[0x9F, 0x7F, 0x01, 0x00]].concat()).into()
                }
                None => Bytes::copy_from_slice(body),
            },
        }
    }

    /// Decodes the response of a function in the binding of the case.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) fn reply<R: Reply>(&self, response: &Response<Bytes>) -> Result<R, Stop> {
        let (reply, findings) = finding::collect(|| match self.binding {
            Binding::Json => esipa::json::answer(response).map_err(|error| error.to_string()),
            Binding::Asn1 => esipa::asn1::answer(response).map_err(|error| error.to_string()),
        });
        self.findings.add(findings);
        reply.map_err(Stop::failed)
    }

    /// Calls a function.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) async fn call<F>(
        &self,
        request: &F::Request,
        message: impl FnOnce(F::Request) -> MessageFromIpa,
    ) -> Result<F::Reply, Stop>
    where
        F: Function<Request: Serialize + Clone, Reply: Reply>,
    {
        let response = self.send(self.http::<F>(request, message)).await.during(F::NAME)?;
        self.reply(&response).during(F::NAME)
    }

    /// The request for a package of the device with this EID.
    pub(crate) fn poll_of(eid: Eid) -> GetEimPackageRequest {
        GetEimPackageRequest {
            eid_value: eid,
            notify_state_change: None,
            state_change_cause: None,
            r_plmn: None,
        }
    }

    /// Polls for a package.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) async fn poll_with(
        &self,
        request: &GetEimPackageRequest,
    ) -> Result<GetEimPackageResponse, Stop> {
        self.call::<esipa::GetEimPackage>(request, MessageFromIpa::GetEimPackageRequest).await
    }

    /// Polls until the eIM has the data of the device, and returns its next package.
    ///
    /// # Errors
    /// A response is invalid, the eIM refuses the data, or requests them without end.
    pub(crate) async fn poll(&mut self) -> Result<GetEimPackageResponse, Stop> {
        for _ in 0..MAX_DATA_REQUESTS {
            match self.poll_with(&Self::poll_of(self.eid)).await? {
                GetEimPackageResponse::IpaEuiccDataRequest(request) if !self.knows_data => {
                    let data = self.data(&request).await?;
                    let reply = self.provide(data).await.during("the data of the device")?;
                    acknowledged(&reply).during("the data of the device")?;
                }
                other => {
                    self.knows_data = true;
                    return Ok(other);
                }
            }
        }
        Err(Stop::failed("the eIM requests the data of the device again and again"))
    }

    /// Polls for a package of the eUICC.
    ///
    /// # Errors
    /// The eIM has none.
    pub(crate) async fn package(&mut self) -> Result<Raw<EuiccPackageRequest>, Stop> {
        match self.poll().await? {
            GetEimPackageResponse::EuiccPackageRequest(package) => Ok(package),
            other => Err(Stop::failed(format!("GetEimPackage returned {other:?}, expected the package"))),
        }
    }

    /// Checks that the eIM has no package.
    ///
    /// # Errors
    /// The eIM has one.
    pub(crate) async fn expect_no_package(&mut self) -> Verdict {
        use esipa::EimPackageError as Error;
        let reply = self.poll().await?;
        let expected = GetEimPackageResponse::EimPackageError(Error::NO_EIM_PACKAGE_AVAILABLE);
        ensure(reply == expected, || format!("GetEimPackage returned {reply:?}, expected {expected:?}"))
    }

    /// Lets the card execute a package, and delivers its result, which must be acknowledged.
    ///
    /// # Errors
    /// The card refuses the package, or the eIM the result.
    pub(crate) async fn deliver(
        &mut self,
        package: &Raw<EuiccPackageRequest>,
    ) -> Result<Raw<EuiccPackageResult>, Stop> {
        let result = self.execute(package).await?;
        let reply = self.provide(of_euicc(&result)).await?;
        let number = data_of(&result)?.seq_number;
        let numbers = acknowledged(&reply)?;
        ensure(numbers == [number], || {
            format!("the eIM acknowledged {numbers:?}, expected the sequence number {number}")
        })?;
        Ok(result)
    }

    /// Delivers a result for this device.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) async fn provide(
        &self,
        result: EimPackageResult,
    ) -> Result<ProvideEimPackageResultResponse, Stop> {
        self.provide_as(self.eid, result).await
    }

    /// Delivers a result in the name of a device.
    ///
    /// # Errors
    /// The response is invalid.
    pub(crate) async fn provide_as(
        &self,
        eid: Eid,
        result: EimPackageResult,
    ) -> Result<ProvideEimPackageResultResponse, Stop> {
        let request = ProvideEimPackageResultRequest { eid_value: Some(eid), eim_package_result: result };
        self.call::<esipa::ProvideEimPackageResult>(&request, MessageFromIpa::ProvideEimPackageResult).await
    }

    /// Delivers a notification or a result with HandleNotification. Returns the HTTP status.
    ///
    /// # Errors
    /// There is no response.
    pub(crate) async fn notify(&self, request: &HandleNotificationRequest) -> Result<StatusCode, Stop> {
        let http = self.http::<esipa::HandleNotification>(request, MessageFromIpa::HandleNotification);
        Ok(self.send(http).await.during("HandleNotification")?.status())
    }

    /// A transactionId that no eIM has issued.
    pub(crate) fn unknown_transaction() -> TransactionId {
        TransactionId(vec![0xA5; 16])
    }
}

/// Wraps the result of a package, with the octets of the eUICC.
pub(crate) fn of_euicc(result: &Raw<EuiccPackageResult>) -> EimPackageResult {
    EimPackageResult::EuiccPackageResult(Box::new(result.clone()))
}

/// Returns the sequence numbers that the eIM acknowledged.
///
/// # Errors
/// The eIM refused the result.
pub(crate) fn acknowledged(reply: &ProvideEimPackageResultResponse) -> Result<Vec<i64>, Stop> {
    match reply {
        ProvideEimPackageResultResponse::EimAcknowledgements(numbers) => {
            Ok(numbers.0.iter().map(|number| number.0).collect())
        }
        ProvideEimPackageResultResponse::EmptyResponse(_) => Ok(Vec::new()),
        ProvideEimPackageResultResponse::ProvideEimPackageResultError(code) => {
            Err(Stop::failed(format!("the eIM refused the result with {code}")))
        }
    }
}
