//! Tests of the formats of traces, with logs that were written for them.

use rsp::time::Timestamp;

use super::{ReadError, read};
use crate::octets::LineError;
use crate::{Event, Exchange, Form, Recorder};

/// Returns the text of a trace, without times and octets.
fn shown(trace: &[u8]) -> String {
    let mut recorder = Recorder::new(Form::Text, false);
    let exchanges = read(trace, false).unwrap();
    let text: Vec<u8> = exchanges.iter().flat_map(|exchange| recorder.record(exchange)).collect();
    let text = String::from_utf8(text).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("    > ") && !line.starts_with("    < "));
    lines.map(|line| line.replace("1970-01-01T00:00:00Z card ", "") + "\n").collect()
}

/// Opens channel 1, selects the ISD-R, and enables a profile, which the card refuses.
const ENABLE: &str = "[0] MANAGE CHANNEL open -> 9000 ok
    answer: 01
[1] SELECT by name A0000005591010FFFFFFFF8900000100: ISD-R -> 9000 ok
[1] STORE DATA ES10c.EnableProfile, last block 0 -> 9000 ok
    request
      profileIdentifier
        iccid: 8988211000000000012
      refreshFlag: true
    response
      enableResult: profile-not-in-disabled-state(2)
";

#[test]
fn lpac_logs_are_read() {
    let log = r#"
lpac starts
{"type":"apdu","payload":{"func":"connect","param":null}}
{"type":"apdu","payload":{"ecode":0}}
{"type":"apdu","payload":{"func":"logic_channel_open","param":"A0000005591010FFFFFFFF8900000100"}}
{"type":"apdu","payload":{"ecode":1}}
{"type":"progress","payload":{"code":0,"message":"es10c_enable_profile","data":null}}
> {"type":"apdu","payload":{"func":"transmit","param":"81E2910014BF3111A00C5A0A988812010000000010F28101FF"}}
< {"type":"apdu","payload":{"ecode":0,"data":"BF31038001029000"}}
{"type":"apdu","payload":{"func":"transmit","param":"81E2910003BF2E00"}}
{"type":"apdu","payload":{"ecode":-1}}
{"type":"lpa","payload":{"code":-1,"message":"es10c_enable_profile","data":"disabled"}}
"#;
    let failed = "[1] STORE DATA -> no answer: lpac received the error -1\n";
    assert_eq!(shown(log.as_bytes()), format!("reset\n    atr: \n{ENABLE}{failed}"));
}

#[test]
fn at_logs_of_modem_manager_and_of_a_terminal_are_read() {
    let logs = [
        r#"
<debug> [1700000000.000001] [modem0/ttyUSB2/at] --> 'AT+CCHO="A0000005591010FFFFFFFF8900000100"<CR>'
<debug> [1700000000.000002] [modem0/ttyUSB2/at] <-- '<CR><LF>+CCHO: 1<CR><LF><CR><LF>OK<CR><LF>'
<debug> [1700000000.000003] [modem0/ttyUSB2/at] --> 'AT+CGLA=1,50,"80E2910014BF3111A00C5A0A988812010000000010F28101FF"<CR>'
<debug> [1700000000.000004] [modem0/ttyUSB2/at] <-- '<CR><LF>+CGLA: 16,"BF31038001029000"<CR><LF><CR><LF>OK<CR><LF>'
"#,
        r#"AT+CCHO="A0000005591010FFFFFFFF8900000100"
1

OK
AT+CSIM=50,"81E2910014BF3111A00C5A0A988812010000000010F28101FF"
AT+CSIM=50,"81E2910014BF3111A00C5A0A988812010000000010F28101FF"
+CSIM: 16,BF31038001029000
OK
"#,
    ];
    for log in logs {
        assert_eq!(shown(log.as_bytes()), ENABLE);
    }
    let refused = "AT+CSIM=10,\"0070000001\"\r\n+CME ERROR: 13\r\nAT+CCHC=1\r\nOK\r\n";
    let expected = "[0] MANAGE CHANNEL -> no answer: the modem answered +CME ERROR: 13
[0] MANAGE CHANNEL close 1 -> 9000 ok
";
    assert_eq!(shown(refused.as_bytes()), expected);
}

#[test]
fn marked_apdus_are_read_and_a_missing_selection_is_assumed() {
    let marks = [("> ", "< 9000"), ("-> ", "<- 9000:"), ("  > ", "  < 90 00")];
    for (command, answer) in marks {
        let log = format!(
            "a program\n{command}00A40804047FFF6F07\n{answer}\nits output\n{command}00B0000009\n{answer}\n"
        );
        let expected = "[0] SELECT by path 7FFF/6F07: EF.IMSI -> 9000 ok
    application: ADF.USIM, assumed because the trace does not contain its selection
[0] READ BINARY EF.IMSI, offset 0 -> 9000 ok
";
        assert_eq!(shown(log.as_bytes()), expected, "{log}");
    }
    let with_data = "-> 00B0000002\n<- 9000: 0102\n";
    assert!(shown(with_data.as_bytes()).contains("answer: 0102\n"));

    let store_data = shown(b"> 81E2910006BF3E035C015A\n< 6A88\n");
    assert!(store_data.starts_with("[1] STORE DATA ES10c.GetEID, last block 0 -> 6A88"), "{store_data}");
    assert!(store_data.contains("application: ISD-R, assumed because"), "{store_data}");
    // After a reset, the trace would contain the selection.
    let after_reset = shown(b"reset > 3B00\n80E2910006BF3E035C015A > 6A88\n");
    assert!(!after_reset.contains("assumed") && !after_reset.contains("GetEID"), "{after_reset}");

    let orphan = read(b"> 00A40004023F00\n< 9000\n< 9000\n", false);
    let why = LineError::Malformed("the response has no command before it".to_owned());
    assert_eq!(orphan, Err(ReadError { number: 3, is_line: true, why }));
}

#[test]
fn a_pcapng_file_is_read_back() {
    let commands = [
        ("00A4040007A0000000871002", "6121"),
        ("00C0000021", "621F"),
        ("00A4000C026F07", "9000"),
        ("00B0000009", "0829262400000000109000"),
        ("8012000008", "D0078103012601829000"),
        ("80F2000C00", "9000"),
        ("0020000108 31323334FFFFFFFF", "63C2"),
        ("8010000004 FFFFFFFF", "9000"),
    ];
    let octets = |digits: &str| hex::decode(digits.replace(' ', "")).unwrap();
    let events = commands.map(|(command, answer)| {
        // The answer to SELECT has the length that its status word announces.
        let answer =
            if answer == "621F" { format!("621F{}9000", "00".repeat(31)) } else { answer.to_owned() };
        Event::Command { command: octets(command), answer: octets(&answer) }
    });
    let reset = Event::Reset { atr: octets("3B9F96801FC78031A073BE21136743200718000001A5") };
    let exchange = |event| Exchange { at: Timestamp(1_700_000_000_123), card: "8900...".to_owned(), event };
    let exchanges: Vec<Exchange> = [reset].into_iter().chain(events).map(exchange).collect();
    let file = |with_secrets| {
        let mut recorder = Recorder::new(Form::Pcapng, with_secrets);
        exchanges.iter().flat_map(|exchange| recorder.record(exchange)).collect::<Vec<u8>>()
    };
    assert_eq!(read(&file(true), true), Ok(exchanges.clone()));
    // The PIN is written as zero, so a trace with secrets cannot be made from the file.
    let hidden = read(&file(false), false).unwrap();
    assert_eq!(hidden.len(), exchanges.len());
    assert_eq!(
        hidden[7].event,
        Event::Command { command: octets("00200001080000000000000000"), answer: octets("63C2") }
    );
    assert_eq!(read(&file(false), true).map_err(|error| error.why), Err(LineError::Hidden));

    let whole = file(true);
    let cut = read(&whole[..whole.len() - 1], true).unwrap_err();
    assert_eq!((cut.is_line, cut.why.to_string().as_str()), (false, "the block is truncated"));
    for end in 4..whole.len() {
        let _ = read(&whole[..end], true);
    }
}
