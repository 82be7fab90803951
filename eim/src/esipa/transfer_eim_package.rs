//! ESipa.TransferEimPackage: SGP.32 section 5.14.4. The eIM sends the next package to an IPA that listens.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use rsp::{
    der::Asn1,
    finding,
    ids::Eid,
    sgp32::esipa::{
        EimAcknowledgements, EimPackageResult, EimPackageResultResponseError, GetEimPackageResponse,
        SequenceNumber, TransferEimPackageRequest, TransferEimPackageResponse, asn1,
    },
    status::Status,
};
use rsp_server::{Rejection, without_fault};
use world::{Event, Fault, Link, Outcome};

use super::{Call, get_eim_package};
use crate::{context::Context, orders, records::DEVICES, results, server::Eim};

/// The outcome of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transferred {
    /// No package waits for the device.
    Nothing,
    /// The IPA returned the result, and it is accepted.
    Done,
    /// The IPA has the package, and provides the result later.
    Received,
}

impl Eim {
    /// Sends the next package of a device to its IPA, and accepts the result. The acknowledgement is a
    /// second request.
    ///
    /// # Errors
    /// The device is unknown, the IPA cannot be reached or sends an invalid response, or the result is
    /// refused. The package is sent again with the next poll or transfer.
    pub async fn transfer(&self, eid: Eid, ipa: &Link) -> Result<Transferred, Fault> {
        let call = Call::new(self, self.0.core.world.now());
        let failed = |why: String| {
            Fault::new(
                format!("cannot transfer a package to device {eid}"),
                why,
                "check that the device is registered and that its IPA listens",
            )
        };
        let package = without_fault(call.transact(&eid, |context, eid| Box::pin(next(context, *eid))).await)?
            .map_err(|refusal| failed(refusal.to_string()))?;
        let Some(package) = package else { return Ok(Transferred::Nothing) };
        let response = self.send(eid, ipa, &package).await.map_err(failed)?;
        let result = match response {
            TransferEimPackageResponse::EimPackageReceived(_)
            | TransferEimPackageResponse::EimPackageReceivedWithCid(_) => return Ok(Transferred::Received),
            TransferEimPackageResponse::EuiccPackageResult(it) => EimPackageResult::EuiccPackageResult(it),
            TransferEimPackageResponse::EprAndNotifications(it) => EimPackageResult::EprAndNotifications(it),
            TransferEimPackageResponse::IpaEuiccDataResponse(it) => {
                EimPackageResult::IpaEuiccDataResponse(it)
            }
            TransferEimPackageResponse::EimPackageError(code) => {
                EimPackageResult::EimPackageResultResponseError(EimPackageResultResponseError {
                    eim_transaction_id: None,
                    eim_package_result_error_code: code,
                })
            }
            TransferEimPackageResponse::EimPackageErrorWithCid(error) => {
                EimPackageResult::EimPackageResultResponseError(EimPackageResultResponseError {
                    eim_transaction_id: None,
                    eim_package_result_error_code: error.eim_package_error,
                })
            }
        };
        let accepted = call
            .transact(&(eid, &result), |context, (eid, result)| {
                Box::pin(results::accept(context, Some(*eid), result))
            })
            .await;
        let acknowledged: Vec<SequenceNumber> = match accepted {
            Ok(acknowledged) => acknowledged,
            Err(Rejection::Refusal(refusal)) => return Err(failed(refusal.to_string())),
            Err(Rejection::Fault(fault)) => return Err(fault),
        };
        self.wake();
        // req: SGP.32-5.14.4-Acknowledgements
        if !acknowledged.is_empty() {
            let request = TransferEimPackageRequest::EimAcknowledgements(EimAcknowledgements(acknowledged));
            self.send(eid, ipa, &request).await.map_err(failed)?;
        }
        Ok(Transferred::Done)
    }

    async fn send(
        &self,
        eid: Eid,
        ipa: &Link,
        message: &TransferEimPackageRequest,
    ) -> Result<TransferEimPackageResponse, String> {
        let core = &self.0.core;
        let mut request = Request::new(Bytes::from(message.to_der()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = http::Uri::from_static(asn1::PATH);
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asn1::CONTENT_TYPE));
        let sent = request.body().len();
        let answered = world::send(ipa, request).await;
        let received = answered.as_ref().map_or(0, |response| response.body().len());
        let (result, findings) = finding::collect(|| match &answered {
            Err(fault) => Err(fault.to_string()),
            Ok(response) if !response.status().is_success() => Err(format!("HTTP {}", response.status())),
            Ok(response) => TransferEimPackageResponse::from_peer(response.body())
                .map_err(|error| format!("the response is invalid: {error}")),
        });
        let outcome = result.as_ref().map_or_else(|why| Outcome::Failed(why.clone()), |_| Outcome::Done);
        core.events.emit(
            Event::new(core.world.now(), "eIM", "TransferEimPackage")
                .with_peer("ESipa", eid.to_string())
                .with_bytes(sent, received)
                .with_outcome(outcome)
                .with_findings(findings),
        );
        result
    }
}

/// Returns the first open order of a device, as a request of the eIM.
async fn next(
    context: &mut Context<'_, '_>,
    eid: Eid,
) -> rsp_server::Decision<Option<TransferEimPackageRequest>> {
    let mut device =
        context.tx.get(&DEVICES, &eid.to_string()).await?.ok_or_else(|| {
            Status::EidAssociation.because("no device with this EID is registered").about(eid)
        })?;
    let package = get_eim_package::next_package(context, &mut device).await?;
    orders::put_device(context, &mut device)?;
    Ok(package.and_then(|package| match package {
        GetEimPackageResponse::EuiccPackageRequest(it) => {
            Some(TransferEimPackageRequest::EuiccPackageRequest(it))
        }
        GetEimPackageResponse::IpaEuiccDataRequest(it) => {
            Some(TransferEimPackageRequest::IpaEuiccDataRequest(it))
        }
        GetEimPackageResponse::ProfileDownloadTriggerRequest(it) => {
            Some(TransferEimPackageRequest::ProfileDownloadTriggerRequest(it))
        }
        GetEimPackageResponse::EimPackageError(_) => None,
    }))
}
