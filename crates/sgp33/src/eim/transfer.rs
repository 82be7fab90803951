//! The IPA of the tester as the recipient of ESipa.TransferEimPackage: SGP.32 section 5.14.4.

use bytes::Bytes;
use http::{Request, Response};
use rsp::der::{Asn1, Null};
use rsp::sgp32::esipa::{
    EimPackageResult, EprAndNotifications, TransferEimPackageRequest, TransferEimPackageResponse,
};
use rsp::sgp32::notification::PendingNotificationList;
use sgp23::Stop;
use tokio::sync::{mpsc, oneshot};
use world::{LinkFault, LinkFaultKind, link_from};

use super::testbed::Testbed;

/// The response of the IPA to a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The result.
    Result,
    /// The result with the pending notifications.
    WithNotifications,
    /// The IPA has the package, and delivers the result later.
    Later,
}

impl Testbed<'_> {
    /// Lets the eIM transfer its next package, and executes it. Returns the requests of the eIM.
    ///
    /// # Errors
    /// A request is invalid, or the eIM cannot transfer packages.
    pub(crate) async fn transferred(
        &mut self,
        delivery: Delivery,
    ) -> Result<Vec<TransferEimPackageRequest>, Stop> {
        let transfer = self.eim.transfer.clone().ok_or_else(|| Stop::needs("an eIM that sends packages"))?;
        let (calls, mut received) = mpsc::channel::<(Request<Bytes>, oneshot::Sender<Response<Bytes>>)>(1);
        let ipa = link_from(tower::service_fn(move |request| {
            let calls = calls.clone();
            async move {
                let lost = || LinkFault::new(LinkFaultKind::Reset, "IPA", "the case has ended");
                let (answer, answered) = oneshot::channel();
                calls.send((request, answer)).await.map_err(|_| lost())?;
                answered.await.map_err(|_| lost())
            }
        }));
        let mut transfer = transfer(self.eid, ipa);
        let mut requests = Vec::new();
        loop {
            let (request, answer) = tokio::select! {
                biased;
                Some(call) = received.recv() => call,
                done = &mut transfer => {
                    done.map_err(|fault| Stop::failed(fault.to_string()))?;
                    return Ok(requests);
                }
            };
            let request = TransferEimPackageRequest::from_peer(request.body())
                .map_err(|error| Stop::failed(format!("TransferEimPackage: {error}")))?;
            let response = self.respond(&request, delivery).await?;
            requests.push(request);
            // An eIM that does not wait for the response misses it.
            let _ = answer.send(Response::new(response.to_der().into()));
        }
    }

    async fn respond(
        &mut self,
        request: &TransferEimPackageRequest,
        delivery: Delivery,
    ) -> Result<TransferEimPackageResponse, Stop> {
        use TransferEimPackageResponse as Response;
        Ok(match request {
            TransferEimPackageRequest::EuiccPackageRequest(package) if delivery != Delivery::Later => {
                let result = self.execute(package).await?;
                match delivery {
                    Delivery::WithNotifications => {
                        Response::EprAndNotifications(Box::new(EprAndNotifications {
                            euicc_package_result: result,
                            notification_list: PendingNotificationList(self.notifications().await?),
                        }))
                    }
                    _ => Response::EuiccPackageResult(Box::new(result)),
                }
            }
            TransferEimPackageRequest::IpaEuiccDataRequest(request) => match self.data(request).await? {
                EimPackageResult::IpaEuiccDataResponse(data) => Response::IpaEuiccDataResponse(data),
                other => return Err(Stop::needs(format!("data in place of {other:?}"))),
            },
            _ => Response::EimPackageReceived(Null),
        })
    }
}
