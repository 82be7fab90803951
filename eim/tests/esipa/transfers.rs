//! TransferEimPackage: the eIM sends packages to an IPA that listens.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use eim::{Transferred, records::Outcome};
use http::{Request, Response};
use rsp::{
    der::{Asn1, Null, Raw},
    sgp32::esipa::{TransferEimPackageRequest, TransferEimPackageResponse},
};
use world::{Link, LinkFault, link_from};

use super::support::*;

/// An IPA that executes packages with a card, and records the acknowledgements.
fn listening(card: Card, received: Arc<Mutex<Vec<TransferEimPackageRequest>>>) -> Link {
    let card = Arc::new(Mutex::new(card));
    link_from(tower::service_fn(move |request: Request<Bytes>| {
        let (card, received) = (Arc::clone(&card), Arc::clone(&received));
        async move {
            let request = TransferEimPackageRequest::from_der(request.body()).unwrap();
            let response = match &request {
                TransferEimPackageRequest::EuiccPackageRequest(package) => {
                    let result = card.lock().unwrap().execute(package);
                    TransferEimPackageResponse::EuiccPackageResult(Box::new(Raw::new(result)))
                }
                _ => TransferEimPackageResponse::EimPackageReceived(Null),
            };
            received.lock().unwrap().push(request);
            Ok::<_, LinkFault>(Response::new(Bytes::from(response.to_der())))
        }
    }))
}

// req: SGP.32-5.14.4-Acknowledgements
#[tokio::test]
async fn a_transferred_package_returns_its_result_and_is_acknowledged() {
    let testbed = Testbed::new();
    let card = testbed.registered().await;
    let (id, eid) = (testbed.enable(&card).await, card.eid);
    let received = Arc::new(Mutex::new(Vec::new()));
    let ipa = listening(card, Arc::clone(&received));
    assert_eq!(testbed.eim.transfer(eid, &ipa).await.unwrap(), Transferred::Done);
    assert!(matches!(testbed.outcome(&id).await, Outcome::EuiccPackage(_)));
    let last = received.lock().unwrap().pop();
    let Some(TransferEimPackageRequest::EimAcknowledgements(numbers)) = last else {
        panic!("no acknowledgement")
    };
    assert_eq!(numbers.0, [rsp::sgp32::esipa::SequenceNumber(1)]);
    assert_eq!(testbed.eim.transfer(eid, &ipa).await.unwrap(), Transferred::Nothing);
}
