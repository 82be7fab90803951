//! The testbed: a card that takes APDUs in hexadecimal text, and the LPA's side of ES10.

use std::sync::{Arc, LazyLock};

use certs::{Pki, PkiOptions};
use crypto::{Curve, PublicKey, Signature};
use rsp::der::Asn1;
use rsp::ids::{Aid, Iccid};
use rsp::sgp22::ProfileIdentifier;
use rsp::sgp22::es8plus::ProfileInstallationResult;
use rsp::sgp22::es10c::{
    DeleteProfileRequest, DeleteProfileResponse, DeleteResult, DisableProfileRequest, DisableProfileResponse,
    DisableResult, EnableProfileRequest, EnableProfileResponse, EnableResult, ProfileInfo,
    ProfileInfoListRequest, ProfileInfoListResponse, RefreshFlag,
};
use world::{ManualClock, Memory, RamMemory, SeededRandom, World};

use crate::kind::CardKind;
use crate::state::{ConsumerState, Persistent, Volatile};
use crate::{Card, CardDescription, Shared};

/// Block length of STORE DATA in lpac.
const BLOCK: usize = 120;

/// Shared by all cards of these tests, so that the CIs are parsed and verified once.
static SHARED: LazyLock<Arc<Shared>> = LazyLock::new(Arc::default);

pub(super) struct Testbed {
    pub(super) card: Card,
    pub(super) clock: ManualClock,
    pub(super) pki: Pki,
    /// Block length of STORE DATA in octets.
    pub(super) block: usize,
    /// The channel on which the ISD-R is selected; opened on first use.
    isd_r: Option<u8>,
    /// The number of further commands and resets until the power is cut; `None` if it never is.
    pub(super) power: Option<usize>,
}

/// A snapshot of the complete card state.
pub(super) struct Snapshot {
    persistent: Persistent,
    state: ConsumerState,
    volatile: Volatile,
    isd_r: Option<u8>,
}

pub(super) fn pki() -> Pki {
    Pki::from_seed(b"card tests", &PkiOptions::default()).unwrap()
}

pub(super) fn description(pki: &Pki) -> CardDescription {
    let eid = pki.eids(Curve::P256)[0];
    let credentials = [Curve::P256, Curve::BrainpoolP256r1].map(|curve| pki.euicc(curve, eid).unwrap());
    CardDescription::default_for(eid.to_string().parse().unwrap(), &credentials)
}

impl Testbed {
    pub(super) fn new() -> Self {
        Self::with(pki(), |_| {}, RamMemory::default())
    }

    pub(super) fn with(
        pki: Pki,
        change: impl FnOnce(&mut CardDescription),
        memory: impl Memory + 'static,
    ) -> Self {
        let mut description = description(&pki);
        change(&mut description);
        let clock = ManualClock::at("2026-11-21T08:00:00Z".parse().unwrap());
        let world = World::new(clock.clone(), SeededRandom::from_text("card"));
        let card = Card::open_among(description, memory, world, &SHARED).unwrap();
        Self { card, clock, pki, block: BLOCK, isd_r: None, power: None }
    }

    /// Sends one APDU and returns its response, both in hexadecimal.
    pub(super) fn apdu(&mut self, command: &str) -> String {
        hex::encode_upper(self.transmit(&hex::decode(command.replace(' ', "")).unwrap()))
    }

    /// Sends one APDU and returns its response, which is empty without power.
    fn transmit(&mut self, command: &[u8]) -> Vec<u8> {
        if self.has_power() { self.card.transmit(command) } else { Vec::new() }
    }

    fn has_power(&mut self) -> bool {
        let left = self.power;
        self.power = left.map(|left| left.saturating_sub(1));
        left != Some(0)
    }

    /// Sends one APDU and asserts its response.
    #[track_caller]
    pub(super) fn expect(&mut self, command: &str, expected: &str) {
        assert_eq!(self.apdu(command), expected.replace(' ', ""), "response to {command}");
    }

    /// Sends one APDU that succeeds, and returns its data including those of GET RESPONSE.
    #[track_caller]
    pub(super) fn read(&mut self, command: &str) -> String {
        let mut answer = self.apdu(command);
        let mut data = String::new();
        loop {
            let status = answer.split_off(answer.len() - 4);
            data.push_str(&answer);
            match status.split_at(2) {
                ("61", length) => answer = self.apdu(&format!("{}C00000{length}", &command[..2])),
                ("90" | "91", _) => return data,
                _ => panic!("{command} returned {status}"),
            }
        }
    }

    pub(super) fn reset(&mut self) {
        if self.has_power() {
            self.card.reset();
        }
        self.isd_r = None;
    }

    /// Forgets the ISD-R channel after the card has closed it.
    pub(super) fn forget_channel(&mut self) {
        self.isd_r = None;
    }

    /// Sends one ES10 command to the ISD-R. Returns the response or the status word of a refusal.
    pub(super) fn es10(&mut self, request: &[u8]) -> Result<Vec<u8>, String> {
        let channel = self.isd_r_channel()?;
        let mut response = Vec::new();
        let blocks: Vec<_> = request.chunks(self.block).collect();
        for (number, block) in blocks.iter().enumerate() {
            let p1 = if number + 1 == blocks.len() { 0x91 } else { 0x11 };
            let mut command = vec![0x80 | channel, 0xE2, p1, u8::try_from(number).unwrap()];
            command.push(u8::try_from(block.len()).unwrap());
            command.extend_from_slice(block);
            let mut answer = self.transmit(&command);
            loop {
                let status = answer.split_off(answer.len().saturating_sub(2));
                response.append(&mut answer);
                match status[..] {
                    [0x61, le] => answer = self.transmit(&[0x80 | channel, 0xC0, 0, 0, le]),
                    [0x90 | 0x91, _] => break,
                    _ => return Err(hex::encode_upper(status)),
                }
            }
        }
        Ok(response)
    }

    /// Octets of free non-volatile memory according to EUICCInfo2.
    pub(super) fn free_memory(&mut self) -> u32 {
        let info = self.es10(&[0xBF, 0x22, 0x00]).unwrap();
        let at = info.windows(2).position(|window| window == [0x82, 0x04]).unwrap() + 2;
        u32::from_be_bytes(info[at..at + 4].try_into().unwrap())
    }

    /// Calls one function of ES10.
    #[track_caller]
    pub(super) fn call<Response: Asn1>(&mut self, request: &impl Asn1) -> Response {
        self.try_call(request).unwrap()
    }

    pub(super) fn try_call<Response: Asn1>(&mut self, request: &impl Asn1) -> Result<Response, String> {
        let response = self.es10(&request.to_der())?;
        Ok(Response::from_der(&response).unwrap())
    }

    fn isd_r_channel(&mut self) -> Result<u8, String> {
        if let Some(channel) = self.isd_r {
            return Ok(channel);
        }
        let answer = self.transmit(&[0, 0x70, 0, 0, 1]);
        let [channel, 0x90 | 0x91, _] = answer[..] else { return Err(hex::encode_upper(answer)) };
        let select = [&[channel, 0xA4, 4, 0, 16][..], &Aid::ISD_R].concat();
        let answer = self.transmit(&select);
        let [0x61, _] = answer[..] else { return Err(hex::encode_upper(answer)) };
        self.isd_r = Some(channel);
        Ok(channel)
    }

    /// Sends one ES10 command in hexadecimal. Returns the response in hexadecimal or the status
    /// word.
    pub(super) fn es10_text(&mut self, request: &str) -> String {
        let answer = self.es10(&hex::decode(request.replace(' ', "")).unwrap());
        answer.map_or_else(|status| status, hex::encode_upper)
    }

    /// The persistent state without the effects that a refusal is permitted to have: its
    /// notification, the sequence number, and the one-time key for a repetition of the download.
    pub(super) fn memory(&self) -> (Persistent, ConsumerState) {
        let mut state = self.state().clone();
        state.notifications.clear();
        state.next_sequence_number = 0;
        state.one_time_keys.clear();
        (self.card.persistent.clone(), state)
    }

    pub(super) fn state(&self) -> &ConsumerState {
        let CardKind::Consumer(card) = &self.card.kind else { panic!("not a consumer card") };
        &card.state
    }

    fn state_mut(&mut self) -> &mut ConsumerState {
        let CardKind::Consumer(card) = &mut self.card.kind else { panic!("not a consumer card") };
        &mut card.state
    }

    pub(super) fn next_sequence_number(&self) -> i64 {
        self.state().next_sequence_number
    }

    /// A snapshot of the card.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot {
            persistent: self.card.persistent.clone(),
            state: self.state().clone(),
            volatile: self.card.volatile.clone(),
            isd_r: self.isd_r,
        }
    }

    pub(super) fn restore(&mut self, snapshot: &Snapshot) {
        self.card.persistent.clone_from(&snapshot.persistent);
        self.state_mut().clone_from(&snapshot.state);
        self.card.volatile.clone_from(&snapshot.volatile);
        self.isd_r = snapshot.isd_r;
    }

    /// Puts the card into the state that it would have after 65520 installations.
    pub(super) fn use_up_isd_ps(&mut self) {
        self.state_mut().next_isd_p = u16::MAX;
    }

    /// Asserts that the installation result is signed by the card and stored as it was returned.
    #[track_caller]
    pub(super) fn check_result(&self, result: &ProfileInstallationResult) {
        let data = &result.profile_installation_result_data;
        let signature = Signature::from_slice(&result.euicc_sign_pir).unwrap();
        let keys = [Curve::P256, Curve::BrainpoolP256r1].map(|curve| self.public_key(curve));
        assert!(keys.iter().any(|key| key.verify(data.bytes(), &signature).is_ok()));
        let number = data.notification_metadata.seq_number;
        let kept = self.state().notifications.iter().find(|each| each.sequence_number == number);
        assert_eq!(kept.unwrap().signed.0.bytes(), result.to_der());
    }

    /// The public key in the card's certificate that was issued under the CI on this curve.
    pub(super) fn public_key(&self, curve: Curve) -> PublicKey {
        let eid = self.pki.eids(Curve::P256)[0];
        self.pki.euicc(curve, eid).unwrap().euicc.certificate.public_key().clone()
    }

    pub(super) fn profiles(&mut self) -> Vec<ProfileInfo> {
        let request = ProfileInfoListRequest { search_criteria: None, tag_list: None };
        match self.call(&request) {
            ProfileInfoListResponse::ProfileInfoListOk(profiles) => profiles.0,
            ProfileInfoListResponse::ProfileInfoListError(code) => panic!("GetProfilesInfo: {code}"),
        }
    }

    pub(super) fn enable(&mut self, iccid: Iccid, refresh_flag: bool) -> EnableResult {
        let profile_identifier = ProfileIdentifier::Iccid(iccid);
        let request = EnableProfileRequest { profile_identifier, refresh_flag: RefreshFlag(refresh_flag) };
        self.call::<EnableProfileResponse>(&request).enable_result
    }

    pub(super) fn disable(&mut self, iccid: Iccid, refresh_flag: bool) -> DisableResult {
        let profile_identifier = ProfileIdentifier::Iccid(iccid);
        let request = DisableProfileRequest { profile_identifier, refresh_flag: RefreshFlag(refresh_flag) };
        self.call::<DisableProfileResponse>(&request).disable_result
    }

    pub(super) fn delete(&mut self, iccid: Iccid) -> DeleteResult {
        self.call::<DeleteProfileResponse>(&DeleteProfileRequest::Iccid(iccid)).delete_result
    }
}
