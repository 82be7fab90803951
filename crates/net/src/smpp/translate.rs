//! Conversion between PDUs and the short-message types of `world`: SMPP 3.4 section 5.2 and
//! appendix B.

use std::time::Duration;

use rsp::time::Timestamp;
use rusmpp::pdus::DeliverSm;
use rusmpp::tlvs::TlvTag;
use rusmpp::types::{COctetString, OctetString};
use rusmpp::values::{EsmClass, Npi, ReplaceIfPresentFlag, Ton};
use world::{
    IncomingDelivery, MessageId, MessageState, PhoneNumber, Receipt, Receipts, ShortMessage, Submission,
    SubmitFault,
};

use super::pdu::{CommandStatus, Sm, name, text};

/// `esm_class`: section 5.2.12.
const MESSAGE_TYPE: u8 = 0x3C;
const DELIVERY_RECEIPT: u8 = 0x04;
/// The response data of a card in its delivery report have no message type of their own. This type
/// means "from the SME, on delivery".
const SME_DELIVERY_ACKNOWLEDGEMENT: u8 = 0x08;
const HAS_HEADER: u8 = 0x40;
/// Messaging modes: default and store-and-forward are supported; datagram and transaction are not.
const MODE: u8 = 0x03;
const STORE_AND_FORWARD: u8 = 0x03;

/// User data: TS 23.040 section 9.2.3.24. Text in the default alphabet has one octet per character
/// here.
const MAX_OCTETS: usize = 140;
const MAX_CHARACTERS: usize = 160;

/// Converts a `submit_sm` to a submission.
///
/// # Errors
/// The status with which the request must be answered.
pub(super) fn submission(sm: &Sm, now: Timestamp) -> Result<Submission, CommandStatus> {
    let fields = &sm.fields;
    let esm_class = u8::from(fields.esm_class);
    if !matches!(esm_class & MODE, 0 | STORE_AND_FORWARD) || esm_class & MESSAGE_TYPE != 0 {
        return Err(CommandStatus::EsmeRinvesmclass);
    }
    if !fields.schedule_delivery_time.is_empty() {
        return Err(CommandStatus::EsmeRinvsched);
    }
    if fields.replace_if_present_flag != ReplaceIfPresentFlag::DoNotReplace {
        return Err(CommandStatus::EsmeRinvsubrep);
    }
    if fields.sm_default_msg_id != 0 {
        return Err(CommandStatus::EsmeRinvdftmsgid);
    }
    let receipts = match u8::from(fields.registered_delivery) & 0x03 {
        0 => Receipts::None,
        1 => Receipts::Always,
        2 => Receipts::OnFailure,
        _ => return Err(CommandStatus::EsmeRinvtlvval),
    };
    let validity = match fields.validity_period.as_str() {
        "" => None,
        text => Some(period(text, now).ok_or(CommandStatus::EsmeRinvexpiry)?),
    };
    let message = short_message(sm)?;
    if message.to.digits().is_empty() {
        return Err(CommandStatus::EsmeRinvdstadr);
    }
    Ok(Submission { message, validity, receipts })
}

/// Converts a message in either direction.
///
/// # Errors
/// The status with which the request must be answered.
pub(super) fn short_message(sm: &Sm) -> Result<ShortMessage, CommandStatus> {
    let message = sm.message()?;
    let data_coding = to_dcs(sm.fields.data_coding.into());
    let most = if is_default_alphabet(data_coding) { MAX_CHARACTERS } else { MAX_OCTETS };
    if message.len() > most {
        return Err(CommandStatus::EsmeRinvmsglen);
    }
    Ok(ShortMessage {
        from: source(&sm.fields)?,
        to: destination(&sm.fields)?,
        protocol_identifier: sm.fields.protocol_id,
        data_coding,
        has_header: u8::from(sm.fields.esm_class) & HAS_HEADER != 0,
        user_data: message.to_vec(),
    })
}

fn source(fields: &DeliverSm) -> Result<PhoneNumber, CommandStatus> {
    let digits = fields.source_addr.as_str();
    PhoneNumber::new(fields.source_addr_ton.into(), fields.source_addr_npi.into(), digits)
        .map_err(|_| CommandStatus::EsmeRinvsrcadr)
}

fn destination(fields: &DeliverSm) -> Result<PhoneNumber, CommandStatus> {
    let digits = fields.destination_addr.as_str();
    PhoneNumber::new(fields.dest_addr_ton.into(), fields.dest_addr_npi.into(), digits)
        .map_err(|_| CommandStatus::EsmeRinvdstadr)
}

/// Converts `data_coding` (section 5.2.19) to TP-DCS. The groups from C0 on are the same; lower
/// values number alphabets. IA5 and Latin 1 become the default alphabet, which has letters and
/// digits in the same places.
fn to_dcs(data_coding: u8) -> u8 {
    match data_coding {
        0x01 | 0x03 => 0x00,
        0x02 => 0x04,
        same => same,
    }
}

fn is_default_alphabet(dcs: u8) -> bool {
    match dcs >> 4 {
        0x0..=0x7 => dcs & 0x2C == 0,
        0xF => dcs & 0x04 == 0,
        _ => false,
    }
}

/// Converts a submission to a `submit_sm`.
pub(super) fn submit_sm(submission: &Submission) -> Sm {
    let mut fields = fields_of(&submission.message);
    let receipts: u8 = match submission.receipts {
        Receipts::None => 0,
        Receipts::Always => 1,
        Receipts::OnFailure => 2,
    };
    fields.registered_delivery = receipts.into();
    // A relative period has the 16 characters of the field.
    fields.validity_period =
        submission.validity.and_then(|period| relative(period).parse().ok()).unwrap_or_default();
    Sm { fields, parameters: Vec::new() }
}

fn fields_of(message: &ShortMessage) -> DeliverSm {
    let mut fields = between(&message.from, &message.to, &message.user_data);
    fields.esm_class = if message.has_header { HAS_HEADER } else { 0 }.into();
    fields.protocol_id = message.protocol_identifier;
    fields.data_coding = message.data_coding.into();
    fields
}

/// Returns the fields of a message between these addresses.
fn between(from: &PhoneNumber, to: &PhoneNumber, message: &[u8]) -> DeliverSm {
    let mut fields = DeliverSm::default();
    (fields.source_addr_ton, fields.source_addr_npi, fields.source_addr) = address(from);
    (fields.dest_addr_ton, fields.dest_addr_npi, fields.destination_addr) = address(to);
    // The default of rusmpp is the type "SME delivery acknowledgement".
    fields.esm_class = EsmClass::from(0);
    fields.set_short_message(OctetString::from_slice(message).unwrap_or_default());
    fields
}

fn address(number: &PhoneNumber) -> (Ton, Npi, COctetString<1, 21>) {
    (number.ton().into(), number.npi().into(), text(number.digits()))
}

/// Converts a delivery to a `deliver_sm`.
pub(super) fn deliver_sm(arrived: &IncomingDelivery) -> Sm {
    let identified = |id: &MessageId| (TlvTag::ReceiptedMessageId, [id.0.as_bytes(), &[0]].concat());
    match arrived {
        IncomingDelivery::Message(message) => Sm { fields: fields_of(message), parameters: Vec::new() },
        IncomingDelivery::Report(id, message) => {
            let mut fields = fields_of(message);
            fields.esm_class = (u8::from(fields.esm_class) | SME_DELIVERY_ACKNOWLEDGEMENT).into();
            Sm { fields, parameters: vec![identified(id)] }
        }
        IncomingDelivery::Receipt(receipt) => {
            let mut fields = between(&receipt.to, &receipt.from, receipt_text(receipt).as_bytes());
            fields.esm_class = DELIVERY_RECEIPT.into();
            let state = (TlvTag::MessageState, vec![state_number(receipt.state)]);
            Sm { fields, parameters: vec![identified(&receipt.id), state] }
        }
    }
}

/// Converts a `deliver_sm` to a delivery.
///
/// # Errors
/// The status with which the request must be answered.
pub(super) fn arrived(sm: &Sm, now: Timestamp) -> Result<IncomingDelivery, CommandStatus> {
    match u8::from(sm.fields.esm_class) & MESSAGE_TYPE {
        DELIVERY_RECEIPT => receipt(sm, now).map(IncomingDelivery::Receipt),
        SME_DELIVERY_ACKNOWLEDGEMENT => {
            let message = short_message(sm)?;
            Ok(match sm.parameter(TlvTag::ReceiptedMessageId).and_then(untext) {
                Some(id) => IncomingDelivery::Report(MessageId(id), message),
                None => IncomingDelivery::Message(message),
            })
        }
        _ => short_message(sm).map(IncomingDelivery::Message),
    }
}

/// Formats a receipt as in appendix B, from which most vendors deviate only slightly.
fn receipt_text(receipt: &Receipt) -> String {
    let delivered = u8::from(receipt.state == MessageState::Delivered);
    let excerpt: String =
        receipt.why.chars().filter(|each| each.is_ascii_graphic() || *each == ' ').take(20).collect();
    format!(
        "id:{} sub:001 dlvrd:00{delivered} submit date:{} done date:{} stat:{} err:000 text:{excerpt}",
        receipt.id,
        short_time(receipt.submitted),
        short_time(receipt.ended),
        state_word(receipt.state),
    )
}

/// Converts a receipt from its optional parameters, or from its text if they are missing.
fn receipt(sm: &Sm, now: Timestamp) -> Result<Receipt, CommandStatus> {
    let text = String::from_utf8_lossy(sm.message()?).into_owned();
    let word = |name: &str| {
        let (_, rest) = text.split_once(name)?;
        rest.split_whitespace().next().map(str::to_owned)
    };
    let id = sm.parameter(TlvTag::ReceiptedMessageId).and_then(untext).or_else(|| word("id:"));
    let state = match sm.parameter(TlvTag::MessageState) {
        Some([number]) => state_of_number(*number),
        _ => word("stat:").and_then(|word| state_of_word(&word)),
    };
    let time = |name: &str| word(name).and_then(|text| long_time(&text)).unwrap_or(now);
    let why = text.split_once("ext:").map(|(_, why)| why.trim().to_owned()).unwrap_or_default();
    Ok(Receipt {
        id: MessageId(id.ok_or(CommandStatus::EsmeRmissingtlv)?),
        to: source(&sm.fields)?,
        from: destination(&sm.fields)?,
        state: state.unwrap_or(MessageState::Unknown),
        submitted: time("submit date:"),
        ended: time("done date:"),
        why,
    })
}

/// Returns the status of a submission that the SMSC did not accept.
pub(super) fn status_of(fault: &SubmitFault) -> CommandStatus {
    match fault {
        SubmitFault::Unreachable(_) | SubmitFault::Unbound => CommandStatus::EsmeRsyserr,
        SubmitFault::Throttled => CommandStatus::EsmeRthrottled,
        SubmitFault::Refused(_) => CommandStatus::EsmeRsubmitfail,
    }
}

/// Converts the status of a third-party SMSC to the reason for a refused submission.
pub(super) fn fault_of(status: CommandStatus) -> SubmitFault {
    match status {
        CommandStatus::EsmeRthrottled | CommandStatus::EsmeRmsgqful => SubmitFault::Throttled,
        CommandStatus::EsmeRsyserr => SubmitFault::Unreachable(name(status)),
        refused => SubmitFault::Refused(name(refused)),
    }
}

/// Section 5.2.28: numbers, and keywords of appendix B.
const STATES: [(MessageState, u8, &str); 7] = [
    (MessageState::Enroute, 1, "ENROUTE"),
    (MessageState::Delivered, 2, "DELIVRD"),
    (MessageState::Expired, 3, "EXPIRED"),
    (MessageState::Deleted, 4, "DELETED"),
    (MessageState::Undeliverable, 5, "UNDELIV"),
    (MessageState::Unknown, 7, "UNKNOWN"),
    (MessageState::Rejected, 8, "REJECTD"),
];

pub(super) fn state_number(state: MessageState) -> u8 {
    STATES.iter().find(|(each, ..)| *each == state).map_or(7, |(_, number, _)| *number)
}

fn state_word(state: MessageState) -> &'static str {
    STATES.iter().find(|(each, ..)| *each == state).map_or("UNKNOWN", |(.., word)| word)
}

fn state_of_number(number: u8) -> Option<MessageState> {
    STATES.iter().find(|(_, each, _)| *each == number).map(|(state, ..)| *state)
}

fn state_of_word(word: &str) -> Option<MessageState> {
    STATES.iter().find(|(.., each)| word.eq_ignore_ascii_case(each)).map(|(state, ..)| *state)
}

fn untext(octets: &[u8]) -> Option<String> {
    let text = octets.split(|octet| *octet == 0).next()?;
    String::from_utf8(text.to_vec()).ok().filter(|text| !text.is_empty())
}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// The length of a relative month or year depends on the date. These fixed lengths are close
/// enough.
const MONTH: u64 = 30 * DAY;
const YEAR: u64 = 365 * DAY;

/// Section 7.1.1.2: YYMMDDhhmmss000R.
fn relative(period: Duration) -> String {
    // Rounded up, because a period of zero would mean the default of the SMSC.
    let seconds = period.as_secs().saturating_add(u64::from(period.subsec_nanos() > 0)).max(1);
    let part = |of: u64, below: u64| seconds % below / of;
    let years = (seconds / YEAR).min(99);
    let rest = seconds % YEAR;
    let (months, days) = (rest / MONTH, rest % MONTH / DAY);
    // Days 360 to 364 of a year would be twelve months of 30 days, but the field has at most 11
    // months.
    let (months, days) = if months > 11 { (11, days.saturating_add(30)) } else { (months, days) };
    let (hours, minutes, seconds) = (part(HOUR, DAY), part(MINUTE, HOUR), part(1, MINUTE));
    format!("{years:02}{months:02}{days:02}{hours:02}{minutes:02}{seconds:02}000R")
}

/// Section 7.1.1: returns the period from now, or `None` if the text is invalid or not in the
/// future.
fn period(text: &str, now: Timestamp) -> Option<Duration> {
    let (digits, sign) = text.split_at_checked(15)?;
    if !digits.bytes().all(|each| each.is_ascii_digit()) {
        return None;
    }
    let two = |at: usize| digits.get(at..at.checked_add(2)?)?.parse::<u64>().ok();
    let [years, months, days, hours, minutes, seconds] =
        [two(0)?, two(2)?, two(4)?, two(6)?, two(8)?, two(10)?];
    let period = if sign == "R" {
        let total =
            [(years, YEAR), (months, MONTH), (days, DAY), (hours, HOUR), (minutes, MINUTE), (seconds, 1)];
        Duration::from_secs(total.iter().map(|(count, of)| count.saturating_mul(*of)).sum())
    } else {
        let quarters =
            two(13)?.checked_mul(15).filter(|minutes| matches!(sign, "+" | "-") && *minutes <= 14 * 60)?;
        let (zone_hours, zone_minutes) = (quarters / 60, quarters % 60);
        let at: Timestamp = format!(
            "20{years:02}-{months:02}-{days:02}T{hours:02}:{minutes:02}:{seconds:02}{sign}{zone_hours:02}:{zone_minutes:02}"
        )
        .parse()
        .ok()?;
        at.since(now)
    };
    (!period.is_zero()).then_some(period)
}

/// Appendix B: YYMMDDhhmm.
fn short_time(time: Timestamp) -> String {
    let digits: String = time.to_string().chars().filter(char::is_ascii_digit).collect();
    digits.get(2..12).unwrap_or("0000000000").to_owned()
}

fn long_time(text: &str) -> Option<Timestamp> {
    let two = |at: usize| text.get(at..at.checked_add(2)?);
    let [years, months, days, hours, minutes] = [two(0)?, two(2)?, two(4)?, two(6)?, two(8)?];
    format!("20{years}-{months}-{days}T{hours}:{minutes}:00Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use rsp::finding::{self, Finding, FindingKind};

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_000_000_000);

    fn number(text: &str) -> PhoneNumber {
        text.parse().unwrap()
    }

    #[test]
    fn a_message_to_a_card_keeps_class_header_and_identifier() {
        let message = ShortMessage::to_card(number("+491"), number("+492"), vec![2, 0x70, 0, 0, 1]);
        let validity = Some(Duration::from_secs(3661));
        let sent = Submission { message, validity, receipts: Receipts::Always };
        let sm = submit_sm(&sent);
        assert_eq!((u8::from(sm.fields.esm_class), sm.fields.protocol_id), (0x40, 0x7F));
        assert_eq!(u8::from(sm.fields.data_coding), 0xF6);
        assert_eq!(sm.fields.validity_period.as_str(), "000000010101000R");
        assert_eq!(Sm::parse(&sm.to_bytes()).unwrap(), sm);
        assert_eq!(submission(&sm, NOW).unwrap(), sent);
        // Optional parameters that are not defined, and one that is longer than in SMPP 5.0.
        let mut with_unknown = sm.clone();
        let unknown = [(TlvTag::Other(0x0999), vec![1]), (TlvTag::Other(0x1401), vec![])];
        with_unknown.parameters.extend(unknown);
        with_unknown.parameters.push((TlvTag::UserMessageReference, vec![0; 40]));
        let (found, findings) = finding::collect(|| Sm::parse(&with_unknown.to_bytes()).unwrap());
        assert_eq!(submission(&found, NOW).unwrap(), sent);
        assert_eq!(
            findings,
            ["optional parameter 0999", "optional parameter 1401"]
                .map(|detail| Finding::new(FindingKind::UnknownElement, detail))
        );
        // The same message with its text in the parameter message_payload.
        let mut elsewhere = sm.clone();
        elsewhere.parameters = vec![(TlvTag::MessagePayload, sm.fields.short_message().to_vec())];
        elsewhere.fields.set_short_message(OctetString::empty());
        assert_eq!(submission(&elsewhere, NOW).unwrap(), sent);
        elsewhere.fields.set_short_message(OctetString::from_slice(&[1]).unwrap());
        assert_eq!(submission(&elsewhere, NOW), Err(CommandStatus::EsmeRinvmsglen));
    }

    #[test]
    fn a_submission_keeps_which_receipts_it_requests() {
        for (receipts, registered_delivery) in
            [(Receipts::None, 0), (Receipts::Always, 1), (Receipts::OnFailure, 2)]
        {
            let message = ShortMessage::to_card(number("+491"), number("+492"), vec![1]);
            let sent = Submission { message, validity: None, receipts };
            let sm = submit_sm(&sent);
            assert_eq!(u8::from(sm.fields.registered_delivery), registered_delivery);
            assert_eq!(submission(&sm, NOW), Ok(sent));
        }
    }

    #[test]
    fn deliveries_survive_encoding_and_decoding() {
        let message = ShortMessage::to_card(number("+491"), number("1000"), vec![2, 0x71, 0, 9]);
        let minute = Timestamp(NOW.0 / 60_000 * 60_000);
        let receipt = Receipt {
            id: MessageId("00ab".into()),
            to: number("+491"),
            from: number("1000"),
            state: MessageState::Expired,
            submitted: minute,
            ended: minute.plus(Duration::from_secs(60)),
            why: "never reached".into(),
        };
        for brought in [
            IncomingDelivery::Message(message.clone()),
            IncomingDelivery::Report(MessageId("7".into()), message),
            IncomingDelivery::Receipt(receipt.clone()),
        ] {
            let sm = Sm::parse(&deliver_sm(&brought).to_bytes()).unwrap();
            assert_eq!(arrived(&sm, NOW).unwrap(), brought);
        }
        // Some SMSCs omit the final NUL of the message ID.
        let mut open = deliver_sm(&IncomingDelivery::Receipt(receipt.clone()));
        assert_eq!(open.parameters[0].1.pop(), Some(0));
        assert_eq!(
            arrived(&Sm::parse(&open.to_bytes()).unwrap(), NOW).unwrap(),
            IncomingDelivery::Receipt(receipt.clone())
        );
        // Receipts of SMSCs without optional parameters, or with capitals in their text.
        let mut plain = deliver_sm(&IncomingDelivery::Receipt(receipt.clone()));
        plain.parameters.clear();
        assert_eq!(arrived(&plain, NOW).unwrap(), IncomingDelivery::Receipt(receipt.clone()));
        plain.fields.set_short_message(OctetString::from_slice(b"something else").unwrap());
        assert_eq!(arrived(&plain, NOW), Err(CommandStatus::EsmeRmissingtlv));
        // The optional parameters are sufficient without a text.
        plain.parameters = deliver_sm(&IncomingDelivery::Receipt(receipt.clone())).parameters;
        let IncomingDelivery::Receipt(found) = arrived(&plain, NOW).unwrap() else { panic!() };
        assert_eq!((found.id, found.state), (receipt.id, receipt.state));
    }

    #[test]
    fn the_text_of_a_receipt_counts_delivered_messages() {
        for (state, _, word) in STATES {
            let receipt = Receipt {
                id: MessageId("7".into()),
                to: number("+491"),
                from: number("1000"),
                state,
                submitted: NOW,
                ended: NOW,
                why: "not\u{e9} reached for a long time".into(),
            };
            let sm = deliver_sm(&IncomingDelivery::Receipt(receipt));
            let text = String::from_utf8(sm.fields.short_message().to_vec()).unwrap();
            let delivered = u8::from(state == MessageState::Delivered);
            assert!(text.starts_with(&format!("id:7 sub:001 dlvrd:00{delivered} ")), "{text}");
            assert!(text.ends_with(&format!("stat:{word} err:000 text:not reached for a lo")), "{text}");
        }
    }

    #[test]
    fn validity_periods_are_relative_or_absolute() {
        for (text, seconds) in
            [("000000000001000R", 1), ("000001000000000R", 86_400), ("010000000000000R", 31_536_000)]
        {
            assert_eq!(period(text, NOW), Some(Duration::from_secs(seconds)), "{text}");
        }
        for seconds in
            [1, 59, 3600, 86_399, 29 * 86_400, 40 * 86_400, 345 * 86_400, 364 * 86_400, 500 * 86_400]
        {
            let period_of = Duration::from_secs(seconds);
            assert_eq!(period(&relative(period_of), NOW), Some(period_of), "{seconds}");
        }
        assert_eq!(relative(Duration::from_millis(1500)), "000000000002000R", "rounded up");
        let hour: Timestamp = "2026-11-22T11:00:00Z".parse().unwrap();
        for absolute in ["261122120000000+", "261122130000004+", "261122110000004-", "261122140000008+"] {
            assert_eq!(period(absolute, hour), Some(Duration::from_secs(3600)), "{absolute}");
        }
        for wrong in [
            "1",
            "000000000000000R",
            "26112212000000xR",
            "261122100000000+",
            "261322120000000+",
            // No time zone differs from UTC by 15 hours.
            "261122120000060-",
            "2611221200000é",
            "000000000001000RR",
        ] {
            assert_eq!(period(wrong, hour), None, "{wrong}");
        }
    }

    #[test]
    fn unsupported_features_are_refused_with_their_status() {
        let good = submit_sm(&Submission {
            message: ShortMessage::to_card(number("1"), number("+492"), vec![0; 140]),
            validity: None,
            receipts: Receipts::None,
        });
        let changed = |change: &dyn Fn(&mut Sm)| {
            let mut sm = good.clone();
            change(&mut sm);
            // As received from the network.
            submission(&Sm::parse(&sm.to_bytes()).unwrap(), NOW).err()
        };
        assert_eq!(changed(&|_| {}), None);
        let long = |count| OctetString::from_vec(vec![b'a'; count]).unwrap();
        for (change, status) in [
            ((|sm| sm.fields.esm_class = 1.into()) as fn(&mut Sm), CommandStatus::EsmeRinvesmclass),
            (|sm| sm.fields.esm_class = 4.into(), CommandStatus::EsmeRinvesmclass),
            (
                |sm| sm.fields.schedule_delivery_time = "000001000000000R".parse().unwrap(),
                CommandStatus::EsmeRinvsched,
            ),
            (
                |sm| sm.fields.validity_period = "after tomorrow..".parse().unwrap(),
                CommandStatus::EsmeRinvexpiry,
            ),
            (|sm| sm.fields.replace_if_present_flag = 1.into(), CommandStatus::EsmeRinvsubrep),
            (|sm| sm.fields.sm_default_msg_id = 1, CommandStatus::EsmeRinvdftmsgid),
            (|sm| sm.fields.registered_delivery = 3.into(), CommandStatus::EsmeRinvtlvval),
            (|sm| sm.fields.destination_addr = COctetString::empty(), CommandStatus::EsmeRinvdstadr),
            (|sm| sm.fields.destination_addr = "+4".parse().unwrap(), CommandStatus::EsmeRinvdstadr),
            (|sm| sm.fields.source_addr_ton = 9.into(), CommandStatus::EsmeRinvsrcadr),
        ] {
            assert_eq!(changed(&change), Some(status));
        }
        // Text in the default alphabet: one octet per character, 160 characters.
        for (data_coding, count, status) in [
            (0xF6, 141, Some(CommandStatus::EsmeRinvmsglen)),
            (0, 160, None),
            (0xF2, 160, None),
            (8, 142, Some(CommandStatus::EsmeRinvmsglen)),
        ] {
            let change = |sm: &mut Sm| {
                sm.fields.data_coding = data_coding.into();
                sm.fields.set_short_message(long(count));
            };
            assert_eq!(changed(&change), status);
        }
    }
}
