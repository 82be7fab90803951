//! SMS-PP data download: a short message for the card is passed on, and the card's response is
//! returned to the network (TS 31.111 section 7.1.1).

use rsp::ota::cat::Envelope;
use rsp::ota::sms::{Address, FAILURE_BUSY, FAILURE_DATA_DOWNLOAD, SmsDeliver, SmsDeliverReport, UserData};
use world::{CardInterface, Outcome};

use super::terminal::{Answer, CardError, StatusWord, Terminal};
use network::{RpAnswer, RpCause};

/// TS 102 221 section 10.2.1.3: the toolkit is busy.
pub(crate) const SW_BUSY: u16 = 0x9300;

/// True if the card has accepted an envelope.
pub(crate) fn is_good(status: StatusWord) -> bool {
    matches!(status.0 >> 8, 0x90 | 0x91)
}

/// The outcome of a data download.
pub(crate) struct Download {
    /// The answer to the network.
    pub(crate) answer: RpAnswer,
    pub(crate) outcome: Outcome,
    /// The sender and the length of the card's response, for the event of the device.
    pub(crate) note: String,
}

/// Passes a short message to the card.
pub(crate) async fn deliver<D: CardInterface>(
    terminal: &mut Terminal<D>,
    deliver: &SmsDeliver,
    service_centre: Address,
    tpdu: Vec<u8>,
) -> Result<Download, CardError> {
    let has_header = !deliver.user_data.header.is_empty();
    let envelope = Envelope::SmsPpDownload { service_centre: Some(service_centre), tpdu };
    let Answer { data, status } = terminal.envelope(&envelope.to_bytes()).await?;
    let failure = match status.0 >> 8 {
        _ if is_good(status) => None,
        // req: TS.31.111-7.1.1-Busy
        _ if status == StatusWord(SW_BUSY) => Some(FAILURE_BUSY),
        _ => Some(FAILURE_DATA_DOWNLOAD),
    };
    // The card's response is user data of the same kind as the message: with a header if the message
    // had one.
    let user_data = (!data.is_empty())
        .then(|| UserData::parse(&data, has_header).unwrap_or_else(|_| UserData::plain(data.clone())));
    let report = SmsDeliverReport {
        failure_cause: failure,
        pid: user_data.as_ref().map(|_| deliver.pid),
        dcs: user_data.as_ref().map(|_| deliver.dcs),
        user_data,
    };
    let (outcome, answer) = match failure {
        None => (Outcome::Done, RpAnswer::Ack(report.to_bytes())),
        Some(_) => (
            Outcome::Refused(status.to_string()),
            RpAnswer::Error(RpCause::PROTOCOL_ERROR, report.to_bytes()),
        ),
    };
    let note = format!("from {}, {} octets returned", deliver.originator, data.len());
    Ok(Download { answer, outcome, note })
}
