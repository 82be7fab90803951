//! The test eUICC of the SGP.23 cases with an LPA that calls the server of a testbed.

use std::ops::{Deref, DerefMut};

use certs::EuiccCredentials;
use crypto::{PublicKey, SecretKey};
use rsp::der::{Asn1, Raw, Reader, Tag, tlv_bytes};
use rsp::ids::{Iccid, Oid, TransactionId};
use rsp::sgp22::asn1::Answer;
use rsp::sgp22::es8plus::{BppCommandId, ErrorReason, ProfileInstallationResultData};
use rsp::sgp22::es9plus::{
    self, AuthenticateClientOk, HandleNotificationRequest, InitiateAuthenticationOk,
    InitiateAuthenticationRequest,
};
use rsp::sgp22::{CancelSessionReason, PendingNotification};
use sgp23::bpp::{self, Opened};
use sgp23::euicc::{Cancel, Prepare};
use sm_dp::SmDpPlus;
use world::SeededRandom;

use super::{ADDRESS, Expect, Rejection, call, send, send_octets};

/// An eUICC and its LPA.
pub(crate) struct Euicc(sgp23::euicc::Euicc);

impl Deref for Euicc {
    type Target = sgp23::euicc::Euicc;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Euicc {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Euicc {
    pub(crate) fn new(credentials: EuiccCredentials, random: SeededRandom) -> Self {
        Self(sgp23::euicc::Euicc::new(credentials, random).unwrap())
    }

    pub(crate) fn initiation(&self) -> InitiateAuthenticationRequest {
        self.0.initiation(ADDRESS)
    }

    pub(crate) async fn initiate(&self, server: &SmDpPlus) -> InitiateAuthenticationOk {
        call::<es9plus::InitiateAuthentication>(server, &self.initiation()).await.done()
    }

    /// Runs InitiateAuthentication and AuthenticateClient.
    pub(crate) async fn try_authenticate(
        &self,
        server: &SmDpPlus,
        matching_id: &str,
    ) -> Answer<AuthenticateClientOk, Rejection> {
        let ok = self.initiate(server).await;
        let request = self.authenticate(&ok, matching_id).request().unwrap();
        call::<es9plus::AuthenticateClient>(server, &request).await
    }

    /// Runs a download until the Bound Profile Package has been received.
    pub(crate) async fn download(
        &self,
        server: &SmDpPlus,
        matching_id: &str,
        one_time: &SecretKey,
    ) -> (TransactionId, Vec<u8>) {
        let ok = self.try_authenticate(server, matching_id).await.done();
        let bound = self.get(server, &self.prepare(&ok, one_time)).await.done();
        (bound.transaction_id, bound.bound_profile_package.0)
    }

    /// Calls GetBoundProfilePackage.
    pub(crate) async fn get(
        &self,
        server: &SmDpPlus,
        prepare: &Prepare,
    ) -> Answer<es9plus::GetBoundProfilePackageOk, Rejection> {
        call::<es9plus::GetBoundProfilePackage>(server, &prepare.request()).await
    }

    /// Decrypts a package like a card and verifies every signature and MAC.
    pub(crate) fn open(&self, package: &[u8], smdp_key: &PublicKey, one_time: &SecretKey) -> Opened {
        bpp::open(package, self.eid, smdp_key, one_time).unwrap()
    }

    pub(crate) fn result(
        &self,
        transaction_id: &TransactionId,
        iccid: Iccid,
        success: bool,
    ) -> ProfileInstallationResultData {
        if success {
            return self.installed(transaction_id, &smdp_oid(), ADDRESS, iccid);
        }
        let reason = ErrorReason::INSTALL_FAILED_DUE_TO_PE_PROCESSING_ERROR;
        let error = (BppCommandId::LOAD_PROFILE_ELEMENTS, reason);
        self.not_installed(transaction_id, &smdp_oid(), ADDRESS, iccid, error)
    }

    pub(crate) fn notification(&self, seq_number: i64, event: usize, iccid: Iccid) -> PendingNotification {
        let signed = self.0.notification(seq_number, event, ADDRESS, iccid);
        PendingNotification::OtherSignedNotification(signed)
    }

    pub(crate) fn cancel(&self, transaction_id: &TransactionId, reason: CancelSessionReason) -> Cancel {
        self.0.cancel(transaction_id, &smdp_oid(), reason)
    }
}

/// Delivers a notification and returns the HTTP status, which is the whole response.
pub(crate) async fn notify(server: &SmDpPlus, notification: PendingNotification) -> u16 {
    let request = HandleNotificationRequest { pending_notification: Raw::new(notification) };
    send::<es9plus::HandleNotification>(server, &request).await.status().as_u16()
}

/// Delivers octets in place of a notification, and returns the HTTP status.
pub(crate) async fn notify_octets(server: &SmDpPlus, octets: &[u8]) -> u16 {
    send_octets::<es9plus::HandleNotification>(server, "pendingNotification", octets).await.status().as_u16()
}

/// Encodes the value with an unknown element at the end of every SEQUENCE, as a later version
/// might.
pub(crate) fn with_later_elements<T: Asn1>(value: &T) -> Raw<T> {
    /// Elements that are not extensible: finalResult is a CHOICE, and the others are lists.
    const NO_STRUCTURE: [Tag; 4] = [Tag(0xA2), Tag(0xA9), Tag(0xAA), Tag(0xAF)];
    fn later(der: &[u8]) -> Vec<u8> {
        let (tag, contents) = Reader::new(der).tlv().unwrap();
        if der[0] & 0x20 == 0 || NO_STRUCTURE.contains(&tag) {
            return der.to_vec();
        }
        let (mut elements, mut extended) = (Reader::new(contents), Vec::new());
        while !elements.is_empty() {
            extended.extend(later(elements.whole_tlv().unwrap()));
        }
        extended.extend([0x9F, 0x7E, 2, 0xAB, 0xCD]);
        tlv_bytes(tag, &extended)
    }
    Raw::from_der(&later(&value.to_der())).unwrap()
}

/// The OID of the SM-DP+ in the test PKI.
pub(crate) fn smdp_oid() -> Oid {
    "2.999.10".parse().unwrap()
}
