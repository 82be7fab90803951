//! Compact forms of the responses of the eUICC during a download.

use super::Unknown;
use crate::{
    choice,
    der::{Asn1, Raw, Reader, Tag, tlv, tlv_bytes, write_tlv},
    ids::{CertificateDer, Oid, TransactionId},
    sequence,
    sgp22::{
        CancelSessionReason, CtxParams1, EuiccCancelSessionSigned, EuiccInfo2, EuiccSigned1, ServerSigned1,
        SignatureOctets,
        es10b::{
            AuthenticateResponseOk, CancelSessionResponseOk, EuiccSigned2, PrepareDownloadResponseOk,
            SmdpSigned2,
        },
    },
};

/// What an eIM knows of an eUICC and its session, for the expansion of compact forms.
#[derive(Clone, Debug, Default)]
pub struct KnownEuicc {
    /// EUICCInfo2 as the eUICC returned it to a data request.
    pub euicc_info2: Option<Raw<EuiccInfo2>>,
    /// The context parameters that the eIM sent in InitiateAuthentication.
    pub ctx_params1: Option<Raw<CtxParams1>>,
    /// CERT.EUICC.
    pub euicc_certificate: Option<CertificateDer>,
    /// CERT.EUM.
    pub eum_certificate: Option<CertificateDer>,
}

sequence! {
    /// CompactAuthenticateResponseOk: section 5.14.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CompactAuthenticateResponseOk = 0x30 {
        /// The data signed by the eUICC, whole or compact.
        pub signed_data: SignedData = 0,
        /// The signature over the whole euiccSigned1.
        pub euicc_signature1: SignatureOctets = 0x5F37 usually 64,
        /// CERT.EUICC, unless the eIM has it.
        pub euicc_certificate: Option<CertificateDer> = 0xA1,
        /// CERT.EUM, unless the eIM has it.
        pub eum_certificate: Option<CertificateDer> = 0xA2,
    }
}

choice! {
    /// signedData: section 5.14.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub enum SignedData = 0 {
        /// The whole data.
        EuiccSigned1(Box<Raw<EuiccSigned1>>) = 0x30,
        /// The parts that the eIM does not know.
        CompactEuiccSigned1(CompactEuiccSigned1) = 0xA0,
    }
}

sequence! {
    /// CompactEuiccSigned1: section 5.14.3.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CompactEuiccSigned1 = 0x30 {
        /// extCardResource of EUICCInfo2, which changes with each installation.
        pub ext_card_resource: Vec<u8> = 0x84 usually 32,
        /// The context parameters, unless the eIM generated them.
        pub ctx_params1: Option<Raw<CtxParams1>> = 0xA2,
    }
}

impl CompactAuthenticateResponseOk {
    /// Creates the compact form of a response of the eUICC. `with_ctx_params1` and `with_certificates`
    /// keep elements that the eIM does not know.
    pub fn of(full: &AuthenticateResponseOk, with_ctx_params1: bool, with_certificates: bool) -> Self {
        let signed = &full.euicc_signed1;
        Self {
            signed_data: SignedData::CompactEuiccSigned1(CompactEuiccSigned1 {
                ext_card_resource: signed.euicc_info2.ext_card_resource.clone(),
                ctx_params1: with_ctx_params1.then(|| signed.ctx_params1.clone()),
            }),
            euicc_signature1: full.euicc_signature1.clone(),
            euicc_certificate: with_certificates.then(|| full.euicc_certificate.clone()),
            eum_certificate: with_certificates.then(|| full.eum_certificate.clone()),
        }
    }

    /// Expands the response of the session that `server_signed1` started.
    ///
    /// # Errors
    /// The eIM does not know an element that is left out.
    pub fn expand(
        &self,
        server_signed1: &ServerSigned1,
        known: &KnownEuicc,
    ) -> Result<AuthenticateResponseOk, Unknown> {
        let euicc_signed1 = match &self.signed_data {
            SignedData::EuiccSigned1(whole) => (**whole).clone(),
            SignedData::CompactEuiccSigned1(compact) => compact.expand(server_signed1, known)?,
        };
        let certificate = |sent: &Option<CertificateDer>, known: &Option<CertificateDer>, element| {
            sent.as_ref().or(known.as_ref()).cloned().ok_or(Unknown { element })
        };
        Ok(AuthenticateResponseOk {
            euicc_signed1,
            euicc_signature1: self.euicc_signature1.clone(),
            euicc_certificate: certificate(
                &self.euicc_certificate,
                &known.euicc_certificate,
                "euiccCertificate",
            )?,
            eum_certificate: certificate(&self.eum_certificate, &known.eum_certificate, "eumCertificate")?,
        })
    }
}

/// The tag of extCardResource in EUICCInfo2.
const EXT_CARD_RESOURCE: Tag = Tag(0x84);

impl CompactEuiccSigned1 {
    fn expand(
        &self,
        server_signed1: &ServerSigned1,
        known: &KnownEuicc,
    ) -> Result<Raw<EuiccSigned1>, Unknown> {
        let info2 = known.euicc_info2.as_ref().ok_or(Unknown { element: "euiccInfo2" })?;
        let ctx_params1 = self
            .ctx_params1
            .as_ref()
            .or(known.ctx_params1.as_ref())
            .ok_or(Unknown { element: "ctxParams1" })?;
        let euicc_info2 = self.replace_resource(info2).ok_or(Unknown { element: "euiccInfo2" })?;
        Ok(Raw::new(EuiccSigned1 {
            transaction_id: server_signed1.transaction_id.clone(),
            server_address: server_signed1.server_address.clone(),
            server_challenge: server_signed1.server_challenge,
            euicc_info2,
            ctx_params1: ctx_params1.clone(),
        }))
    }

    /// Replaces extCardResource in the octets of EUICCInfo2. All other octets stay as the eUICC encoded
    /// them.
    fn replace_resource(&self, info2: &Raw<EuiccInfo2>) -> Option<Raw<EuiccInfo2>> {
        let (tag, contents) = tlv::split(info2.bytes())?;
        let mut replaced = Vec::new();
        for element in tlv::each(contents).ok()? {
            match Reader::new(element).peek() {
                Ok(Some(EXT_CARD_RESOURCE)) => {
                    write_tlv(EXT_CARD_RESOURCE, &self.ext_card_resource, &mut replaced);
                }
                _ => replaced.extend_from_slice(element),
            }
        }
        Raw::from_der(&tlv_bytes(tag, &replaced)).ok()
    }
}

sequence! {
    /// CompactPrepareDownloadResponseOk: section 5.14.2.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CompactPrepareDownloadResponseOk = 0x30 {
        /// The parts of euiccSigned2 that the eIM does not know.
        pub compact_euicc_signed2: CompactEuiccSigned2 = 0x30,
        /// The signature over the whole euiccSigned2 and smdpSignature2.
        pub euicc_signature2: SignatureOctets = 0x5F37 usually 64,
    }
}

sequence! {
    /// CompactEuiccSigned2: section 5.14.2.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct CompactEuiccSigned2 = 0x30 {
        /// otPK.EUICC.ECKA, unless the eUICC uses bppEuiccOtpk of smdpSigned2.
        pub euicc_otpk: Option<Vec<u8>> = 0x5F49 usually 65,
        /// The hash of the confirmation code, unless it came from the eIM.
        pub hash_cc: Option<[u8; 32]> = 0x04,
    }
}

impl CompactPrepareDownloadResponseOk {
    /// Creates the compact form of the response of the eUICC to `smdp_signed2`. `hash_cc` is the hash
    /// that the eIM sent.
    pub fn of(
        full: &PrepareDownloadResponseOk,
        smdp_signed2: &SmdpSigned2,
        hash_cc: Option<[u8; 32]>,
    ) -> Self {
        let signed = &full.euicc_signed2;
        let is_known = smdp_signed2.bpp_euicc_otpk.as_ref() == Some(&signed.euicc_otpk);
        Self {
            compact_euicc_signed2: CompactEuiccSigned2 {
                euicc_otpk: (!is_known).then(|| signed.euicc_otpk.clone()),
                hash_cc: signed.hash_cc.filter(|hash| hash_cc != Some(*hash)),
            },
            euicc_signature2: full.euicc_signature2.clone(),
        }
    }

    /// Expands the response to `smdp_signed2`. `hash_cc` is the hash that the eIM sent.
    ///
    /// # Errors
    /// The one-time key is left out, and the package is not bound to one.
    pub fn expand(
        &self,
        smdp_signed2: &SmdpSigned2,
        hash_cc: Option<[u8; 32]>,
    ) -> Result<PrepareDownloadResponseOk, Unknown> {
        let compact = &self.compact_euicc_signed2;
        let euicc_otpk = compact
            .euicc_otpk
            .as_ref()
            .or(smdp_signed2.bpp_euicc_otpk.as_ref())
            .cloned()
            .ok_or(Unknown { element: "euiccOtpk" })?;
        Ok(PrepareDownloadResponseOk {
            euicc_signed2: Raw::new(EuiccSigned2 {
                transaction_id: smdp_signed2.transaction_id.clone(),
                euicc_otpk,
                hash_cc: compact.hash_cc.or(hash_cc),
            }),
            euicc_signature2: self.euicc_signature2.clone(),
        })
    }
}

sequence! {
    /// CompactCancelSessionResponseOk: section 5.14.8.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct CompactCancelSessionResponseOk = 0x30 {
        /// The parts of euiccCancelSessionSigned that the eIM does not know.
        pub compact_euicc_cancel_session_signed: CompactEuiccCancelSessionSigned = 0x30,
        /// The signature over the whole euiccCancelSessionSigned.
        pub euicc_cancel_session_signature: SignatureOctets = 0x5F37 usually 64,
    }
}

sequence! {
    /// CompactEuiccCancelSessionSigned: section 5.14.8.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct CompactEuiccCancelSessionSigned = 0x30 {
        /// The reason, unless the eIM requested the cancellation for this reason.
        pub reason: Option<CancelSessionReason> = 0x80,
    }
}

impl CompactCancelSessionResponseOk {
    /// Creates the compact form. `reason` is the reason that the eIM knows.
    pub fn of(full: &CancelSessionResponseOk, reason: Option<CancelSessionReason>) -> Self {
        let signed = &full.euicc_cancel_session_signed;
        Self {
            compact_euicc_cancel_session_signed: CompactEuiccCancelSessionSigned {
                reason: Some(signed.reason).filter(|signed| reason != Some(*signed)),
            },
            euicc_cancel_session_signature: full.euicc_cancel_session_signature.clone(),
        }
    }

    /// Expands the response of the session with this transaction ID and SM-DP+. `reason` is the reason
    /// that the eIM knows.
    ///
    /// # Errors
    /// The reason is left out, and the eIM knows none.
    pub fn expand(
        &self,
        transaction_id: TransactionId,
        smdp_oid: Oid,
        reason: Option<CancelSessionReason>,
    ) -> Result<CancelSessionResponseOk, Unknown> {
        let sent = self.compact_euicc_cancel_session_signed.reason;
        Ok(CancelSessionResponseOk {
            euicc_cancel_session_signed: Raw::new(EuiccCancelSessionSigned {
                transaction_id,
                smdp_oid,
                reason: sent.or(reason).ok_or(Unknown { element: "reason" })?,
            }),
            euicc_cancel_session_signature: self.euicc_cancel_session_signature.clone(),
        })
    }
}
