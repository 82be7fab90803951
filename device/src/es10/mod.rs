//! ES10a, ES10b and ES10c from the device's side: SGP.22 section 5.7. `iot` has the functions of
//! SGP.32.
//!
//! The first function call opens a logical channel and selects the ISD-R on it. Each function is
//! one chain of STORE DATA. A result code other than "ok" becomes an error, [`Es10Error::Refused`],
//! so that it cannot be overlooked.

mod answers;
mod iot;

use crypto::bsp::MAX_TLV;
use rsp::der::{Asn1, BitString, DecodeError, List, Opaque, Raw};
use rsp::finding::{self, Finding, FindingKind};
use rsp::ids::{Aid, Eid, Iccid, SmdpAddress, TransactionId};
use rsp::sgp22::es8plus::{ProfileInstallationResult, store_data_segments};
use rsp::sgp22::es10b::{
    AuthenticateServerRequest, AuthenticateServerResponse, CancelSessionRequest, CancelSessionResponse,
    EuiccConfiguredAddressesRequest, EuiccConfiguredAddressesResponse, GetEuiccChallengeRequest,
    GetEuiccChallengeResponse, GetEuiccInfo1Request, GetEuiccInfo2Request, GetRatRequest, GetRatResponse,
    ListNotificationRequest, ListNotificationResponse, NotificationSearch, NotificationSentRequest,
    NotificationSentResponse, PrepareDownloadRequest, PrepareDownloadResponse,
    RetrieveNotificationsListRequest, RetrieveNotificationsListResponse, SetDefaultDpAddressRequest,
    SetDefaultDpAddressResponse,
};
use rsp::sgp22::es10c::{
    DeleteProfileRequest, DeleteProfileResponse, DisableProfileRequest, DisableProfileResponse, EidTag,
    EnableProfileRequest, EnableProfileResponse, EuiccMemoryResetRequest, EuiccMemoryResetResponse,
    GetEuiccDataRequest, GetEuiccDataResponse, ProfileInfo, ProfileInfoListRequest, ProfileInfoListResponse,
    ProfileSearch, RefreshFlag, SetNicknameRequest, SetNicknameResponse,
};
use rsp::sgp22::{
    CancelSessionReason, EuiccInfo1, EuiccInfo2, NotificationMetadata, PendingNotification,
    ProfileIdentifier, ProfilePolicyAuthorisationRule,
};
use world::{CardInterface, Event, Outcome};

use super::event_source::EventSource;
use super::terminal::{CardError, Command, Terminal, Traffic};
pub use answers::ResultCode;
use answers::Verdict;
pub use iot::RetrievedList;

/// The maximum length of one STORE DATA block.
const BLOCK: usize = 255;

/// A client of the ISD-R of a card, on one logical channel.
pub struct Es10<D> {
    terminal: Terminal<D>,
    channel: Option<u8>,
    events: EventSource,
}

/// The reason why a function of ES10 failed. The variant identifies the party at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Es10Error {
    /// The card interface failed, the status word is an error, or the answer is malformed.
    #[error(transparent)]
    Card(#[from] CardError),
    /// The eUICC refused, with a result code of the function.
    #[error("{function}: the eUICC answered {code}")]
    Refused {
        /// The function.
        function: &'static str,
        /// The result code.
        code: ResultCode,
    },
}

impl Es10Error {
    /// Returns the result code, if the eUICC returned one.
    pub fn code(&self) -> Option<i64> {
        match self {
            Self::Refused { code, .. } => Some(code.number),
            Self::Card(_) => None,
        }
    }

    /// True if the eUICC may have executed the function although its answer is unknown.
    pub fn outcome_is_unknown(&self) -> bool {
        matches!(self, Self::Card(error) if error.outcome_is_unknown())
    }
}

/// The reason why a Bound Profile Package was not loaded completely.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The octets from the SM-DP+ are not a Bound Profile Package. Nothing was sent to the card.
    #[error("the SM-DP+ sent an invalid Bound Profile Package: {0}")]
    Package(DecodeError),
    /// The card failed.
    #[error(transparent)]
    Card(#[from] CardError),
}

/// ES10a: addresses.
const ES10A: &str = "ES10a";
/// ES10b: downloads and notifications.
const ES10B: &str = "ES10b";
/// ES10c: local profile management.
const ES10C: &str = "ES10c";

impl<D: CardInterface> Es10<D> {
    /// Creates a client for the card behind `card_interface`. Nothing is sent yet.
    pub fn new(card_interface: D, events: EventSource) -> Self {
        Self { terminal: Terminal::new(card_interface), channel: None, events }
    }

    /// Returns the traffic so far.
    pub fn traffic(&self) -> Traffic {
        self.terminal.traffic()
    }

    /// ES10a.GetEuiccConfiguredAddresses: section 5.7.3.
    pub async fn get_euicc_configured_addresses(
        &mut self,
    ) -> Result<EuiccConfiguredAddressesResponse, Es10Error> {
        self.call(ES10A, "GetEuiccConfiguredAddresses", &EuiccConfiguredAddressesRequest {}).await
    }

    /// ES10a.SetDefaultDpAddress: section 5.7.4. `None` removes the address.
    pub async fn set_default_dp_address(&mut self, address: Option<&SmdpAddress>) -> Result<(), Es10Error> {
        let default_dp_address = address.map(ToString::to_string).unwrap_or_default();
        let request = SetDefaultDpAddressRequest { default_dp_address };
        self.call::<_, SetDefaultDpAddressResponse>(ES10A, "SetDefaultDpAddress", &request).await.map(|_| ())
    }

    /// ES10b.GetEUICCChallenge: section 5.7.7.
    pub async fn get_euicc_challenge(&mut self) -> Result<[u8; 16], Es10Error> {
        let answer: GetEuiccChallengeResponse =
            self.call(ES10B, "GetEUICCChallenge", &GetEuiccChallengeRequest {}).await?;
        Ok(answer.euicc_challenge)
    }

    /// ES10b.GetEUICCInfo, EUICCInfo1: section 5.7.8.
    pub async fn get_euicc_info1(&mut self) -> Result<Raw<EuiccInfo1>, Es10Error> {
        self.call(ES10B, "GetEUICCInfo1", &GetEuiccInfo1Request {}).await
    }

    /// ES10b.GetEUICCInfo, EUICCInfo2: section 5.7.8.
    pub async fn get_euicc_info2(&mut self) -> Result<Raw<EuiccInfo2>, Es10Error> {
        self.call(ES10B, "GetEUICCInfo2", &GetEuiccInfo2Request {}).await
    }

    /// ES10b.GetRAT: section 5.7.22.
    pub async fn get_rat(&mut self) -> Result<Vec<ProfilePolicyAuthorisationRule>, Es10Error> {
        let answer: GetRatResponse = self.call(ES10B, "GetRAT", &GetRatRequest {}).await?;
        Ok(answer.rat)
    }

    /// ES10b.AuthenticateServer: section 5.7.13. A refusal of the eUICC is returned as `Ok`,
    /// because it is forwarded to the server.
    pub async fn authenticate_server(
        &mut self,
        request: &AuthenticateServerRequest,
    ) -> Result<Raw<AuthenticateServerResponse>, CardError> {
        self.exchange(ES10B, "AuthenticateServer", request).await
    }

    /// ES10b.PrepareDownload: section 5.7.5. A refusal of the eUICC is returned as `Ok`, because it
    /// is forwarded to the server.
    pub async fn prepare_download(
        &mut self,
        request: &PrepareDownloadRequest,
    ) -> Result<Raw<PrepareDownloadResponse>, CardError> {
        self.exchange(ES10B, "PrepareDownload", request).await
    }

    /// ES10b.LoadBoundProfilePackage: section 5.7.6. Stops as soon as the eUICC returns its result.
    pub async fn load_bound_profile_package(
        &mut self,
        bound_profile_package: &[u8],
    ) -> Result<Raw<ProfileInstallationResult>, LoadError> {
        const FUNCTION: &str = "LoadBoundProfilePackage";
        let (pieces, accepted) = finding::collect(|| store_data_segments(bound_profile_package));
        let pieces = pieces.map_err(LoadError::Package)?;
        let mut findings = Vec::new();
        let before = self.traffic();
        let mut result = Err(CardError::Answer {
            command: FUNCTION,
            why: "the whole package was loaded without a ProfileInstallationResult".into(),
        });
        for piece in &pieces {
            match self.store_data(FUNCTION, piece).await {
                Ok(nothing) if nothing.is_empty() => {}
                Ok(answer) => {
                    let decoded;
                    (decoded, findings) = finding::collect(|| Raw::from_peer(&answer));
                    result = decoded.map_err(|error| CardError::undecodable(FUNCTION, &error));
                    break;
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        let outcome = match &result {
            Ok(result) => answers::installation_refused(result),
            Err(error) => Outcome::Failed(error.to_string()),
        };
        findings.extend(accepted);
        findings.extend(long_segment(&pieces));
        self.events.emit(self.event(ES10B, FUNCTION, before, outcome).with_findings(findings));
        Ok(result?)
    }

    /// ES10b.CancelSession: section 5.7.14. A refusal of the eUICC is returned as `Ok`, because it
    /// is forwarded to the server.
    pub async fn cancel_session(
        &mut self,
        transaction_id: TransactionId,
        reason: CancelSessionReason,
    ) -> Result<Raw<CancelSessionResponse>, CardError> {
        self.exchange(ES10B, "CancelSession", &CancelSessionRequest { transaction_id, reason }).await
    }

    /// ES10b.ListNotification: section 5.7.9.
    pub async fn list_notification(&mut self) -> Result<Vec<NotificationMetadata>, Es10Error> {
        let request = ListNotificationRequest { profile_management_operation: None };
        match self.call(ES10B, "ListNotification", &request).await? {
            ListNotificationResponse::NotificationMetadataList(List(list)) => Ok(list),
            ListNotificationResponse::ListNotificationsResultError(_) => Ok(Vec::new()),
        }
    }

    /// ES10b.RetrieveNotificationsList for one notification: section 5.7.10. Returns `None` if the
    /// notification no longer exists.
    pub async fn retrieve_notification(
        &mut self,
        seq_number: i64,
    ) -> Result<Option<Opaque<PendingNotification>>, Es10Error> {
        let search_criteria = Some(NotificationSearch::SeqNumber(seq_number));
        let request = RetrieveNotificationsListRequest { search_criteria };
        match self.call(ES10B, "RetrieveNotificationsList", &request).await? {
            RetrieveNotificationsListResponse::NotificationList(list) => Ok(list.into_iter().next()),
            RetrieveNotificationsListResponse::NotificationsListResultError(_) => Ok(None),
        }
    }

    /// ES10b.RemoveNotificationFromList: section 5.7.11.
    pub async fn remove_notification_from_list(&mut self, seq_number: i64) -> Result<(), Es10Error> {
        let request = NotificationSentRequest { seq_number };
        self.call::<_, NotificationSentResponse>(ES10B, "RemoveNotificationFromList", &request)
            .await
            .map(|_| ())
    }

    /// ES10c.GetProfilesInfo: section 5.7.15. Returns all profiles, or the one with this ICCID,
    /// with their policy rules.
    pub async fn get_profiles_info(&mut self, iccid: Option<Iccid>) -> Result<Vec<ProfileInfo>, Es10Error> {
        // ICCID, AID, state, nickname, names, class, notification addresses, owner, rules:
        // everything that decisions need. The icon is omitted.
        const TAGS: [u8; 12] = [0x5A, 0x4F, 0x9F, 0x70, 0x90, 0x91, 0x92, 0x95, 0xB6, 0xB7, 0xB8, 0x99];
        let request = ProfileInfoListRequest {
            search_criteria: iccid.map(ProfileSearch::Iccid),
            tag_list: Some(TAGS.to_vec()),
        };
        match self.call(ES10C, "GetProfilesInfo", &request).await? {
            ProfileInfoListResponse::ProfileInfoListOk(List(list)) => Ok(list),
            // `call` has already returned this result as an error.
            ProfileInfoListResponse::ProfileInfoListError(_) => Ok(Vec::new()),
        }
    }

    /// ES10c.EnableProfile: section 5.7.16. If the refresh flag is set, call [`Es10::refresh`]
    /// afterwards.
    pub async fn enable_profile(&mut self, iccid: Iccid, refresh_flag: bool) -> Result<(), Es10Error> {
        let request = EnableProfileRequest {
            profile_identifier: ProfileIdentifier::Iccid(iccid),
            refresh_flag: RefreshFlag(refresh_flag),
        };
        self.call::<_, EnableProfileResponse>(ES10C, "EnableProfile", &request).await.map(|_| ())
    }

    /// ES10c.DisableProfile: section 5.7.17. If the refresh flag is set, call [`Es10::refresh`]
    /// afterwards.
    pub async fn disable_profile(&mut self, iccid: Iccid, refresh_flag: bool) -> Result<(), Es10Error> {
        let request = DisableProfileRequest {
            profile_identifier: ProfileIdentifier::Iccid(iccid),
            refresh_flag: RefreshFlag(refresh_flag),
        };
        self.call::<_, DisableProfileResponse>(ES10C, "DisableProfile", &request).await.map(|_| ())
    }

    /// ES10c.DeleteProfile: section 5.7.18.
    pub async fn delete_profile(&mut self, iccid: Iccid) -> Result<(), Es10Error> {
        let request = DeleteProfileRequest::Iccid(iccid);
        self.call::<_, DeleteProfileResponse>(ES10C, "DeleteProfile", &request).await.map(|_| ())
    }

    /// ES10c.eUICCMemoryReset: section 5.7.19; the options are those of
    /// `rsp::sgp22::es10c::reset_options`.
    pub async fn euicc_memory_reset(&mut self, options: &[usize]) -> Result<(), Es10Error> {
        let request = EuiccMemoryResetRequest { reset_options: BitString::of(options) };
        self.call::<_, EuiccMemoryResetResponse>(ES10C, "eUICCMemoryReset", &request).await.map(|_| ())
    }

    /// ES10c.GetEID: section 5.7.20.
    pub async fn get_eid(&mut self) -> Result<Eid, Es10Error> {
        let request = GetEuiccDataRequest { tag_list: EidTag };
        let answer: GetEuiccDataResponse = self.call(ES10C, "GetEID", &request).await?;
        Ok(answer.eid_value)
    }

    /// ES10c.SetNickname: section 5.7.21. An empty text removes the nickname.
    pub async fn set_nickname(&mut self, iccid: Iccid, nickname: &str) -> Result<(), Es10Error> {
        let request = SetNicknameRequest { iccid, profile_nickname: nickname.to_owned() };
        self.call::<_, SetNicknameResponse>(ES10C, "SetNickname", &request).await.map(|_| ())
    }

    /// Performs the REFRESH that the card announced after a change of profiles. The card is reset
    /// even if it announced no REFRESH, because the data that the device has read from the former
    /// profile is invalid.
    pub async fn refresh(&mut self) -> Result<(), CardError> {
        let before = self.traffic();
        let done = match self.terminal.serve_proactive().await {
            Ok(true) => {
                self.channel = None;
                Ok(())
            }
            Ok(false) => self.reset().await,
            Err(error) => Err(error),
        };
        let outcome =
            done.as_ref().map_or_else(|error| Outcome::Failed(error.to_string()), |()| Outcome::Done);
        self.events.emit(self.event("CAT", "REFRESH", before, outcome));
        done
    }

    /// Resets the card.
    pub async fn reset(&mut self) -> Result<(), CardError> {
        self.channel = None;
        self.terminal.reset().await
    }

    /// Closes the logical channel, if one is open.
    pub async fn close(&mut self) -> Result<(), CardError> {
        let Some(channel) = self.channel.take() else { return Ok(()) };
        let close = Command {
            name: "MANAGE CHANNEL",
            class: 0x00,
            channel: 0,
            ins: 0x70,
            p1: 0x80,
            p2: channel,
            data: &[],
            le: None,
        };
        self.terminal.command(close).await.map(drop)
    }

    /// Calls a function whose result code must be "ok".
    async fn call<Request: Asn1, Response: Asn1 + Verdict>(
        &mut self,
        interface: &'static str,
        function: &'static str,
        request: &Request,
    ) -> Result<Response, Es10Error> {
        let response: Response = self.exchange(interface, function, request).await?;
        match response.refusal() {
            None => Ok(response),
            Some(code) => Err(Es10Error::Refused { function, code }),
        }
    }

    /// Calls a function and reports it as an event.
    async fn exchange<Request: Asn1, Response: Asn1 + Verdict>(
        &mut self,
        interface: &'static str,
        function: &'static str,
        request: &Request,
    ) -> Result<Response, CardError> {
        let before = self.traffic();
        let answer = self.store_data(function, &request.to_der()).await;
        let (answer, findings) = finding::collect(|| {
            answer.and_then(|answer| {
                Response::from_peer(&answer).map_err(|error| CardError::undecodable(function, &error))
            })
        });
        let outcome = match &answer {
            Ok(response) => {
                response.refusal().map_or(Outcome::Done, |code| Outcome::Refused(code.to_string()))
            }
            Err(error) => Outcome::Failed(error.to_string()),
        };
        self.events.emit(self.event(interface, function, before, outcome).with_findings(findings));
        answer
    }

    fn event(
        &self,
        interface: &'static str,
        function: &'static str,
        before: Traffic,
        outcome: Outcome,
    ) -> Event {
        let Traffic { apdus, to_card, from_card } = self.traffic() - before;
        let count = |octets: u64| usize::try_from(octets).unwrap_or(usize::MAX);
        let event = self.events.event(function).with_peer(interface, "eUICC").with_outcome(outcome);
        let note = format!("{apdus} APDUs");
        event.with_bytes(count(to_card), count(from_card)).with_note(note)
    }

    /// Sends one chain of STORE DATA: section 5.7.2. Returns the response to the last block.
    async fn store_data(&mut self, function: &'static str, command: &[u8]) -> Result<Vec<u8>, CardError> {
        let channel = self.open().await?;
        let mut blocks = command.chunks(BLOCK).peekable();
        let mut number = 0;
        while let Some(block) = blocks.next() {
            let is_last = blocks.peek().is_none();
            let store_data = Command {
                name: function,
                class: 0x80,
                channel,
                ins: 0xE2,
                p1: if is_last { 0x91 } else { 0x11 },
                p2: number,
                data: block,
                le: None,
            };
            let answer = self.terminal.command(store_data).await;
            if answer.is_err() {
                // The state of the channel is uncertain, so the next function opens another
                // channel.
                self.forget_channel().await;
            }
            let answer = answer?;
            if is_last {
                return Ok(answer);
            }
            number = u8::checked_add(number, 1).ok_or_else(|| CardError::Answer {
                command: function,
                why: "the command needs more than the 256 blocks that STORE DATA can number".into(),
            })?;
        }
        Ok(Vec::new())
    }

    /// Closes the channel if the card still answers. If the card does not answer, a reset has
    /// closed the channel or will close it.
    async fn forget_channel(&mut self) {
        if let Err(error) = self.close().await {
            let event = self.events.event("MANAGE CHANNEL").with_peer("", "eUICC");
            self.events.emit(event.with_outcome(Outcome::Failed(error.to_string())));
        }
    }

    /// Opens a logical channel and selects the ISD-R on it, unless such a channel is open (SGP.22
    /// section 5.7.1).
    async fn open(&mut self) -> Result<u8, CardError> {
        if let Some(channel) = self.channel {
            return Ok(channel);
        }
        self.terminal.start().await?;
        const OPEN: &str = "MANAGE CHANNEL";
        let open =
            Command { name: OPEN, class: 0x00, channel: 0, ins: 0x70, p1: 0, p2: 0, data: &[], le: Some(1) };
        let answer = self.terminal.command(open).await?;
        let [channel @ 1..=19] = answer[..] else {
            return Err(CardError::Answer {
                command: OPEN,
                why: "the answer contains no valid logical channel".into(),
            });
        };
        self.channel = Some(channel);
        let select = Command {
            name: "SELECT ISD-R",
            class: 0x00,
            channel,
            ins: 0xA4,
            p1: 0x04,
            p2: 0x00,
            data: &Aid::ISD_R,
            le: None,
        };
        if let Err(error) = self.terminal.command(select).await {
            self.forget_channel().await;
            return Err(error);
        }
        Ok(channel)
    }
}

/// Returns the finding for the longest segment of a package (TLV 86, 87 or 88), if it is too long.
fn long_segment(pieces: &[Vec<u8>]) -> Option<Finding> {
    let is_segment = |piece: &&Vec<u8>| matches!(piece.first(), Some(0x86..=0x88));
    let longest = pieces.iter().filter(is_segment).map(Vec::len).max()?;
    (longest > MAX_TLV)
        .then(|| Finding::new(FindingKind::LongSegment, format!("the longest has {longest} octets")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_of_more_than_1020_octets_is_a_finding() {
        // The first piece and the headers of sequences are no segments.
        let pieces =
            |octets: usize| [vec![0xBF; 2000], vec![0xA3; 1500], vec![0x86; 500], vec![0x86; octets]];
        assert_eq!(long_segment(&pieces(1020)), None);
        let finding = Finding::new(FindingKind::LongSegment, "the longest has 1036 octets");
        assert_eq!(long_segment(&pieces(1036)), Some(finding));
    }
}
