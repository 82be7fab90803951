//! The peer that signs false statements.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use certs::Pki;
use crypto::Curve;
use rsp::ids::{Eid, TransactionId};

/// A peer with the keys of every party of a PKI, which makes false statements when
/// [`FaultInjector`](crate::FaultInjector) says so.
///
/// It can sign for any SM-DP+, any eIM and any card whose certificates and keys are in the PKI. If it
/// lacks the key for a false statement, it does not change the message, and the request fails with a
/// link fault that names the missing key.
#[derive(Debug)]
pub struct TamperingPeer {
    pub(crate) pki: Arc<Pki>,
    pub(crate) observed: Mutex<VecDeque<ObservedSession>>,
    /// Association tokens of eIMs at cards, newest first.
    pub(crate) tokens: Mutex<VecDeque<(Eid, i64)>>,
}

/// A session that was observed on the link.
#[derive(Clone, Debug)]
pub(crate) struct ObservedSession {
    pub(crate) transaction_id: TransactionId,
    pub(crate) eid: Eid,
    /// The curve of the card's certificate.
    pub(crate) card: Curve,
    /// The curve of CERT.DPpb.
    pub(crate) binding: Curve,
    pub(crate) smdp_signature2: Vec<u8>,
}

impl TamperingPeer {
    /// Creates a peer with the keys of this PKI.
    pub fn new(pki: Arc<Pki>) -> Self {
        Self { pki, observed: Mutex::default(), tokens: Mutex::default() }
    }
}
