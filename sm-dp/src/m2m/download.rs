//! The download of a profile to an M2M eUICC: SGP.02 section 3.1.
//!
//! A record stores what the download waits for. A response of the SM-SR advances the download, in
//! one transaction with the next request. After a restart the pending request is still in the
//! outbox and the record still waits for its response.
//!
//! A failure after CreateISDP is undone with DeleteISDP before the operator is notified. If the
//! validity period is over, the operator is notified at once. If no confirmation of the deletion
//! arrives, a [`Remnant`] is recorded.

use rsp::{
    StatusWord,
    ids::Aid,
    sgp02::{
        common::{
            BaseRequest, BaseResponse, ExecutionStatus, Function, FunctionExecutionStatus, Request as _,
        },
        es2, es3,
        status::{Refusal, Status},
        xml,
    },
};
use rsp_server::soap::{self, Ended};
use world::Fault;

use super::{
    context::{Context, response_of},
    eligibility,
    records::{Awaits, DOWNLOADS, Download, ISD_PS, IsdP, Procedure, REMNANTS, Remnant, isd_p_key},
    stock,
};
use crate::{
    es8::{
        CardFault,
        download::{Opening, Outcome},
        key_establishment::{self, Agreement},
    },
    records::Octets,
};

/// True if an unusable ISD-P may be left on the card when the procedure ends at this point.
/// Without a response, the server cannot know if CreateISDP was executed.
fn leaves_isd_p(awaits: &Awaits, ended: &Ended) -> bool {
    match awaits {
        Awaits::Eis | Awaits::Enabling | Awaits::Undoing { .. } => false,
        Awaits::IsdP { .. } => !ended
            .response::<es3::CreateIsdp>()
            .is_ok_and(|response| response.base.function_execution_status.status == ExecutionStatus::Failed),
        Awaits::RandomChallenge { .. }
        | Awaits::Receipt { .. }
        | Awaits::CardChallenge { .. }
        | Awaits::Segments { .. }
        | Awaits::Completion { .. } => true,
    }
}

/// The reason why a step does not lead to the next one.
enum Rejection {
    /// A failure that is reported to the operator.
    Failure(FunctionExecutionStatus),
    /// An internal fault. Nothing is committed.
    Fault(Fault),
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self::Failure(refusal.to_status(ExecutionStatus::Failed))
    }
}

impl From<soap::Rejection> for Rejection {
    fn from(no: soap::Rejection) -> Self {
        match no {
            soap::Rejection::Refusal(refusal) => refusal.into(),
            soap::Rejection::Fault(fault) => fault.into(),
        }
    }
}

impl From<FunctionExecutionStatus> for Rejection {
    fn from(failure: FunctionExecutionStatus) -> Self {
        Self::Failure(failure)
    }
}

impl From<CardFault> for Rejection {
    fn from(fault: CardFault) -> Self {
        let status = match fault {
            CardFault::NotInstalled(_) => Status::ProfileExecutionError,
            CardFault::StatusWord { .. } | CardFault::Refused { .. } => Status::IsdPExecutionError,
            CardFault::Unreadable(_) | CardFault::NotAuthentic(_) => Status::EuiccExecutionError,
        };
        status.because(fault.to_string()).into()
    }
}

/// Maps a failure of the ECASD's check of CERT.DP.ECDSA.
fn certificate_failure(fault: CardFault) -> Rejection {
    match fault {
        CardFault::StatusWord { status_word, .. }
            if status_word == StatusWord::SECURITY_STATUS_NOT_SATISFIED.0 =>
        {
            Status::SmdpCertificateRefused.because(fault.to_string()).into()
        }
        fault => fault.into(),
    }
}

/// Maps a failure of the ECASD's check of the ephemeral key and the signature.
fn agreement_failure(fault: CardFault) -> Rejection {
    match fault {
        CardFault::StatusWord { .. } => Status::EcasdExecutionError.because(fault.to_string()).into(),
        fault => fault.into(),
    }
}

/// Starts the download of a reserved profile.
pub(crate) async fn begin(context: &mut Context<'_, '_>, id: &str, download: Download) -> Result<(), Fault> {
    let request = es3::GetEisRequest { base: BaseRequest::new(""), eid: download.eid };
    send_request::<es3::GetEis>(context, id, download, Awaits::Eis, request).await
}

/// Advances the download with the result of its pending request.
pub(crate) async fn resume(
    context: &mut Context<'_, '_>,
    id: &str,
    step: u32,
    ended: &Ended,
) -> Result<(), Fault> {
    let Some(download) = context.tx.get(&DOWNLOADS, id).await? else { return Ok(()) };
    if download.step != step {
        return Ok(());
    }
    match advance(context, id, download.clone(), ended).await {
        Ok(()) => Ok(()),
        Err(Rejection::Fault(fault)) => Err(fault),
        Err(Rejection::Failure(why)) if leaves_isd_p(&download.awaits, ended) => {
            undo(context, id, download, why).await
        }
        Err(Rejection::Failure(why)) => {
            stock::not_installed(context, &download).await?;
            finish(context, id, download, why).await
        }
    }
}

/// Executes one step, based on the received response.
async fn advance(
    context: &mut Context<'_, '_>,
    id: &str,
    download: Download,
    ended: &Ended,
) -> Result<(), Rejection> {
    let Download { eid, iccid, .. } = download;
    match download.awaits.clone() {
        Awaits::Eis => {
            let response = response_of::<es3::GetEis>(ended)?;
            let eis = response.eis.ok_or_else(|| missing("the EIS", "ES3.GetEIS"))?;
            let profile = stock::profile(context, &download).await?;
            let ecasd_key = eligibility::check(context, eid, &download.sm_sr, &eis, &profile)?;
            let request = es3::CreateIsdpRequest {
                base: BaseRequest::new(""),
                eid,
                iccid,
                mno_id: download.operator.clone(),
                required_memory: profile.memory,
                more_to_do: Some(true),
            };
            let next = Awaits::IsdP { ecasd_key: Octets(ecasd_key) };
            send_next::<es3::CreateIsdp>(context, id, download, next, request).await
        }
        Awaits::IsdP { ecasd_key } => {
            let response = response_of::<es3::CreateIsdp>(ended)?;
            let isd_p =
                response.isd_p_aid.ok_or_else(|| missing("the AID of the ISD-P", "ES3.CreateISDP"))?;
            stock::handed_out(context, &download).await?;
            let script =
                key_establishment::certificate_script(&isd_p, context.credentials.card_certificate());
            let next = Awaits::RandomChallenge { isd_p, ecasd_key };
            send(context, id, download, next, Target::IsdR, script).await
        }
        Awaits::RandomChallenge { isd_p, ecasd_key } => {
            let challenge =
                key_establishment::random_challenge(&data(ended)?).map_err(certificate_failure)?;
            let (agreement, script) = Agreement::begin(
                &ecasd_key.0,
                &challenge,
                context.credentials.card_key(),
                context.config.key_establishment,
                context.world,
            )?;
            send(context, id, download, Awaits::Receipt { isd_p, agreement }, Target::IsdR, script).await
        }
        Awaits::Receipt { isd_p, agreement } => {
            let keys = agreement.keys(&data(ended)?).map_err(agreement_failure)?;
            let (opening, script) = Opening::begin(keys, context.world);
            let target = Target::IsdP(isd_p.clone());
            send(context, id, download, Awaits::CardChallenge { isd_p, opening }, target, script).await
        }
        Awaits::CardChallenge { isd_p, opening } => {
            let package = stock::package(context, &download).await?;
            let (channel, script) = opening.open(&data(ended)?, &package)?;
            let target = Target::IsdP(isd_p.clone());
            send(context, id, download, Awaits::Segments { isd_p, channel }, target, script).await
        }
        Awaits::Segments { isd_p, channel } => {
            let package = stock::package(context, &download).await?;
            match channel.answered(&data(ended)?, &package)? {
                Outcome::Next { channel, script } => {
                    let target = Target::IsdP(isd_p.clone());
                    send(context, id, download, Awaits::Segments { isd_p, channel }, target, script).await
                }
                Outcome::Installed { keys, sequence } => {
                    let isd_p = IsdP {
                        operator: download.operator.clone(),
                        sm_sr: download.sm_sr.clone(),
                        aid: isd_p,
                        keys,
                        sequence,
                        at: context.now,
                    };
                    let profile = stock::profile(context, &download).await?;
                    let request = es3::ProfileDownloadCompletedRequest {
                        base: BaseRequest::new(""),
                        eid,
                        iccid,
                        profile_type: Some(profile.profile_type),
                        subscription_address: stock::subscription_address(context, iccid, &package).await?,
                        pol2: None,
                    };
                    let next = Awaits::Completion { isd_p };
                    send_next::<es3::ProfileDownloadCompleted>(context, id, download, next, request).await
                }
            }
        }
        Awaits::Completion { isd_p } => {
            response_of::<es3::ProfileDownloadCompleted>(ended)?;
            in_time(context, &download)?;
            stock::installed(context, &download).await?;
            context.tx.put(&ISD_PS, &isd_p_key(eid, iccid), &isd_p)?;
            context.tx.delete(&REMNANTS, &isd_p_key(eid, iccid));
            if !download.enable {
                return Ok(finish(context, id, download, FunctionExecutionStatus::default()).await?);
            }
            let request = es3::EnableProfileRequest { base: BaseRequest::new(""), eid, iccid };
            send_next::<es3::EnableProfile>(context, id, download, Awaits::Enabling, request).await
        }
        Awaits::Enabling => {
            // The profile is installed, whatever the result of enabling is.
            let how = match response_of::<es3::EnableProfile>(ended) {
                Ok(response) => response.base.function_execution_status,
                Err(why) => as_warning(why),
            };
            Ok(finish(context, id, download, how).await?)
        }
        Awaits::Undoing { why } => {
            if is_deleted(ended) {
                stock::not_installed(context, &download).await?;
            } else {
                tracing::warn!(%eid, %iccid, "the deletion of the ISD-P of a failed download was not confirmed; the profile stays reserved for this eUICC until its operator deletes it (ES2.DeleteProfile)");
                stock::left_behind(context, &download).await?;
                let Download { operator, sm_sr, .. } = download.clone();
                let remnant = Remnant { operator, sm_sr, at: context.now };
                context.tx.put(&REMNANTS, &isd_p_key(eid, iccid), &remnant)?;
            }
            Ok(finish(context, id, download, why).await?)
        }
    }
}

/// Starts the removal of a failed download's ISD-P from the card, before the operator is notified.
async fn undo(
    context: &mut Context<'_, '_>,
    id: &str,
    mut download: Download,
    why: FunctionExecutionStatus,
) -> Result<(), Fault> {
    download.valid_until = context.now.plus(context.config.undoing_time);
    let Download { eid, iccid, .. } = download;
    let request = es3::DeleteIsdpRequest { base: BaseRequest::new(""), eid, iccid };
    send_request::<es3::DeleteIsdp>(context, id, download, Awaits::Undoing { why }, request).await
}

/// True if the ISD-P is no longer on the card, or never was.
pub(crate) fn is_deleted(ended: &Ended) -> bool {
    match response_of::<es3::DeleteIsdp>(ended) {
        Ok(_) => true,
        Err(why) => is_unknown(&why),
    }
}

/// True if the SM-SR reports that the profile is not on the card.
pub(crate) fn is_unknown(why: &FunctionExecutionStatus) -> bool {
    why.status_code_data
        .as_ref()
        .is_some_and(|data| Status::from_codes(&data.subject, &data.reason) == Some(Status::IccidUnknown))
}

/// Ends the download: deletes the record and sends the response to the operator. No response is
/// sent if `rsp_server::soap` has already reported the end of the validity period.
async fn finish(
    context: &mut Context<'_, '_>,
    id: &str,
    download: Download,
    how: FunctionExecutionStatus,
) -> Result<(), Fault> {
    let base = BaseResponse { function_execution_status: how, ..BaseResponse::default() };
    let iccid = base.is_done().then_some(download.iccid);
    context.tx.delete(&DOWNLOADS, id);
    context
        .answer::<es2::DownloadProfile>(&download.answer, es2::DownloadProfileResponse { base, iccid })
        .await
}

/// The profile is installed but not enabled. Section 5.3.2 makes this a warning; this is not
/// verified against the text of the standard.
fn as_warning(why: FunctionExecutionStatus) -> FunctionExecutionStatus {
    FunctionExecutionStatus { status: ExecutionStatus::ExecutedWithWarning, ..why }
}

/// The receiver of a script.
enum Target {
    /// The ISD-R, which forwards the commands after INSTALL [for personalization].
    IsdR,
    /// The ISD-P itself.
    IsdP(Aid),
}

/// Sends a script with ES3.SendData.
async fn send(
    context: &mut Context<'_, '_>,
    id: &str,
    download: Download,
    next: Awaits,
    target: Target,
    script: Vec<u8>,
) -> Result<(), Rejection> {
    let request = es3::SendDataRequest {
        base: BaseRequest::new(""),
        eid: download.eid,
        sd_aid: match target {
            Target::IsdR => Aid(Aid::ISD_R.to_vec()),
            Target::IsdP(aid) => aid,
        },
        data: xml::Octets(script),
        // Keeps the secure session with the card open, because another call follows.
        more_to_do: Some(match &next {
            Awaits::Segments { channel, .. } => !channel.is_last(),
            _ => true,
        }),
    };
    send_next::<es3::SendData>(context, id, download, next, request).await
}

/// Returns the card's response from an ES3.SendData response.
fn data(ended: &Ended) -> Result<Vec<u8>, Rejection> {
    let response = response_of::<es3::SendData>(ended)?;
    let data =
        response.euicc_response_data.ok_or_else(|| missing("the response of the eUICC", "ES3.SendData"))?;
    Ok(data.0)
}

/// Checks that the validity period is not over. A later response is still received, but the
/// operator was already informed that the function expired, so the download does not continue.
fn in_time(context: &Context<'_, '_>, download: &Download) -> Result<(), Rejection> {
    if context.now < download.valid_until {
        return Ok(());
    }
    let late = Status::FunctionExpired.because("the validity period ended during the download");
    Err(late.to_status(ExecutionStatus::Expired).into())
}

/// Sends the next request, if the validity period is not over.
async fn send_next<F: Function>(
    context: &mut Context<'_, '_>,
    id: &str,
    download: Download,
    next: Awaits,
    request: F::Request,
) -> Result<(), Rejection> {
    in_time(context, &download)?;
    Ok(send_request::<F>(context, id, download, next, request).await?)
}

/// Sends a request to the SM-SR and records what the download waits for.
async fn send_request<F: Function>(
    context: &mut Context<'_, '_>,
    id: &str,
    mut download: Download,
    next: Awaits,
    mut request: F::Request,
) -> Result<(), Fault> {
    let until = download.valid_until;
    request.base_mut().validity_period = Some(until.since(context.now).as_secs().max(1));
    download.awaits = next;
    download.step = download.step.saturating_add(1);
    let procedure = Procedure::Download(id.to_owned(), download.step);
    context.call::<F>(&download.sm_sr, request, until, &procedure).await?;
    context.tx.put(&DOWNLOADS, id, &download)
}

/// The SM-SR reported success, but its response lacks a required element.
fn missing(what: &str, function: &str) -> Rejection {
    Status::SmsrExecutionError.because(format!("the response to {function} does not contain {what}")).into()
}
