//! ES8+: creation of the Bound Profile Package, SGP.22 sections 2.5.4 and 5.5.

use crypto::{
    Curve, PublicKey, SecretKey,
    bsp::{BppSender, KEY_LENGTH_AES_128, KEY_TYPE_AES, SessionKeys},
};
use rsp::{
    der::{Asn1, Raw},
    ids::{Eid, Oid, TransactionId},
    sgp22::{
        DpProprietaryData,
        es8plus::{
            BoundProfilePackage, ConfigureIsdpRequest, ControlRefTemplate, InitialiseSecureChannelRequest,
            ReplaceSessionKeysRequest, Segments, StoreMetadataRequest,
        },
    },
    status::{Refusal, Status},
};
use world::{Fault, World};

use crate::stock::Protection;

/// The keys and identifiers that a package is bound with.
pub(crate) struct Binder<'a> {
    /// The private key of CERT.DPpb.
    pub(crate) signing_key: &'a SecretKey,
    /// The TransactionID of the session.
    pub(crate) transaction_id: &'a TransactionId,
    /// The HostID, which identifies the server in the key derivation.
    pub(crate) host_id: Vec<u8>,
    /// The SM-DP+ OID, which the eUICC stores with the profile.
    pub(crate) smdp_oid: Oid,
    /// The source of randomness for otSK.DP.ECKA and the PPKs.
    pub(crate) world: &'a World,
}

impl Binder<'_> {
    /// Binds `package` to an eUICC and its one-time key.
    pub(crate) fn bind(
        &self,
        package: &[u8],
        metadata: &StoreMetadataRequest,
        protection: Protection,
        eid: Eid,
        euicc_otpk: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let curve: Curve = self.signing_key.curve();
        let bad_key = |_| {
            Status::EuiccVerificationFailed.because("otPK.EUICC.ECKA is not a point of the session's curve")
        };
        let mut fill = |octets: &mut [u8]| self.world.random.fill(octets);
        let otsk = SecretKey::generate(curve, &mut fill);
        let shared =
            otsk.agree(&PublicKey::from_sec1(curve, euicc_otpk).map_err(bad_key)?).map_err(bad_key)?;
        let keys = SessionKeys::derive(&shared, KEY_TYPE_AES, KEY_LENGTH_AES_128, &self.host_id, &eid.0);

        let mut channel = InitialiseSecureChannelRequest {
            remote_op_id: InitialiseSecureChannelRequest::INSTALL_BOUND_PROFILE_PACKAGE,
            transaction_id: self.transaction_id.clone(),
            control_ref_template: ControlRefTemplate {
                key_type: [KEY_TYPE_AES],
                key_len: [KEY_LENGTH_AES_128],
                host_id: self.host_id.clone(),
            },
            smdp_otpk: otsk.public_key().to_sec1().to_vec(),
            smdp_sign: Vec::new(),
        };
        channel.smdp_sign = self.signing_key.sign(&channel.signed_octets(euicc_otpk)).as_bytes().to_vec();

        // Segments must be protected in the order in which the eUICC loads them, because the MAC
        // chains through all of them.
        let mut protect = BppSender::new(keys);
        let configure = ConfigureIsdpRequest {
            dp_proprietary_data: Some(DpProprietaryData { dp_oid: self.smdp_oid.clone() }),
        };
        let first_sequence_of87 = protect.segments(0x87, &configure.to_der());
        // req: SGP.22-5.5.3-Segments
        let sequence_of88 = protect.mac_only_segments(0x88, &metadata.to_der());
        let second_sequence_of87 = match protection {
            Protection::SessionKeys => None,
            // req: SGP.22-2.5-Ppk
            Protection::ProfileProtectionKeys => {
                let ppk = SessionKeys::generate(&mut fill);
                let replace = ReplaceSessionKeysRequest {
                    initial_mac_chaining_value: ppk.initial_mac_chaining_value,
                    ppk_enc: ppk.s_enc,
                    ppk_cmac: ppk.s_mac,
                };
                let segments = protect.segments(0x87, &replace.to_der());
                protect.replace_session_keys(ppk);
                Some(Segments(segments))
            }
        };
        let sequence_of86 = protect.segments(0x86, package);
        Ok(BoundProfilePackage {
            initialise_secure_channel_request: Raw::new(channel),
            first_sequence_of87: Segments(first_sequence_of87),
            sequence_of88: Segments(sequence_of88),
            second_sequence_of87,
            sequence_of86: Segments(sequence_of86),
        }
        .to_der())
    }

    /// Rebinds a package to another session of the same eUICC with the same one-time key.
    /// Everything except InitialiseSecureChannel stays octet for octet the same (section 5.6.2).
    pub(crate) fn bind_to_this_transaction(&self, bound: &[u8], euicc_otpk: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut package = BoundProfilePackage::from_der(bound).map_err(|e| {
            Fault::caused_by(
                e,
                "cannot reuse the bound profile package",
                "report this: the server cannot read its own record",
            )
        })?;
        let mut channel = package.initialise_secure_channel_request.into_value();
        channel.transaction_id = self.transaction_id.clone();
        channel.smdp_sign = self.signing_key.sign(&channel.signed_octets(euicc_otpk)).as_bytes().to_vec();
        package.initialise_secure_channel_request = Raw::new(channel);
        Ok(package.to_der())
    }
}

#[cfg(test)]
mod tests {
    use rsp::{ids::Iccid, time::Timestamp};
    use world::{ManualClock, SeededRandom};

    use super::*;

    /// Created by this code with seeded randomness, and verified with pySim: its ASN.1 decoder read
    /// every structure, its BSP decrypted the segments under the session keys and under the PPKs,
    /// and Python's `cryptography` verified smdpSign.
    const OPENED_BY_PYSIM: &str = include_str!("es8plus/bpp_opened_by_pysim.hex");

    fn euicc_otsk() -> SecretKey {
        SecretKey::from_bytes(Curve::P256, &[9; 32]).unwrap()
    }

    fn bound() -> Vec<u8> {
        let world = World::new(ManualClock::at(Timestamp(0)), SeededRandom::from_text("es8plus"));
        let binder = Binder {
            signing_key: &SecretKey::from_bytes(Curve::P256, &[7; 32]).unwrap(),
            transaction_id: &TransactionId((1..=16).collect()),
            host_id: b"landfall-host-id".to_vec(),
            smdp_oid: "2.999.10".parse().unwrap(),
            world: &world,
        };
        let metadata = StoreMetadataRequest {
            iccid: "8949000000000000001".parse::<Iccid>().unwrap(),
            service_provider_name: "Landfall".to_owned(),
            profile_name: "Vector".to_owned(),
            icon_type: None,
            icon: None,
            profile_class: None,
            notification_configuration_info: None,
            profile_owner: None,
            profile_policy_rules: None,
            ecall_indication: None,
            fallback_allowed: None,
        };
        binder
            .bind(
                b"not a profile package, but protected as one",
                &metadata,
                Protection::ProfileProtectionKeys,
                "89049032123451234512345678901235".parse().unwrap(),
                &euicc_otsk().public_key().to_sec1(),
            )
            .unwrap()
    }

    #[test]
    fn the_bound_package_matches_the_one_verified_with_pysim() {
        assert_eq!(hex::encode(bound()), OPENED_BY_PYSIM.trim());
    }
}
