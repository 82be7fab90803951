//! The stdio interface of lpac: lpac runs as a child process, requests APDUs on its standard
//! output, and reads the responses on its standard input.
//!
//! Each line is a JSON object, as described in `docs/backends/stdio.md` of lpac. Lines that are not
//! requests for the card (progress, results) are passed to the caller.
//!
//! lpac reads the answers to its questions from the same standard input. It announces a question in
//! a line of progress, and reads one character.

use std::{
    io::{self, BufRead, Read},
    process::Stdio,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::Command,
};
use world::{CardInterface, Fault};

/// Maximum length of a line. A longer line is read as several lines. The limit is far above
/// the longest request for the card: an APDU of 64 KiB in hexadecimal digits.
const MAX_LINE_OCTETS: u64 = 1 << 20;

/// A line of lpac.
#[derive(Deserialize)]
#[serde(tag = "type", content = "payload", rename_all = "lowercase")]
enum Line {
    /// A request for the card.
    Apdu(Payload),
    /// A step of lpac.
    Progress(Step),
    /// A result, or any other line.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Payload {
    func: Option<String>,
    param: Option<String>,
}

#[derive(Deserialize)]
struct Step {
    message: Option<String>,
}

impl Step {
    /// True if lpac waits for `y` or `n`. `profile download -p` asks this after it has printed the
    /// metadata of the profile.
    fn is_question(&self) -> bool {
        self.message.as_deref() == Some("preview")
    }
}

#[derive(Serialize)]
struct Answer {
    #[serde(rename = "type")]
    kind: &'static str,
    payload: Executed,
}

#[derive(Serialize)]
struct Executed {
    ecode: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<String>,
}

impl Executed {
    const fn code(ecode: i32) -> Self {
        Self { ecode, data: None }
    }
}

/// Runs `lpac` against `card`. The caller sets program, arguments and environment. Lines that are
/// not requests for the card are passed to `line`; octets that are not UTF-8 are replaced. If lpac
/// asks a question, the answer is the first character of a line of `answers`, or `n` at their end.
/// Returns the exit status of lpac, also if it ends before it has read a response.
///
/// # Errors
/// lpac cannot be started, or its pipes fail.
pub async fn run_lpac(
    mut lpac: Command,
    mut card: impl CardInterface,
    mut answers: impl BufRead + Send + 'static,
    mut line: impl FnMut(&str),
) -> Result<std::process::ExitStatus, Fault> {
    let fault =
        |e| Fault::caused_by(e, "cannot talk to lpac", "read the output of lpac above, and run it again");
    let program = lpac.as_std().get_program().display().to_string();
    let mut child = lpac
        .env("LPAC_APDU", "stdio")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| {
            let next = format!("install {program}, or correct its path");
            Fault::caused_by(e, format!("cannot start {program}"), next)
        })?;
    let (Some(mut to_lpac), Some(from_lpac)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(Fault::new("cannot talk to lpac", "its pipes are missing", "run it again"));
    };
    let mut from_lpac = BufReader::new(from_lpac);
    let mut octets = Vec::new();
    loop {
        octets.clear();
        let mut limited = (&mut from_lpac).take(MAX_LINE_OCTETS);
        if limited.read_until(b'\n', &mut octets).await.map_err(fault)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&octets);
        let text = text.trim_end_matches(['\r', '\n']);
        let reply = match serde_json::from_str(text) {
            Ok(Line::Apdu(request)) => {
                let payload = answer(&mut card, request).await;
                let mut reply = serde_json::to_vec(&Answer { kind: "apdu", payload }).unwrap_or_default();
                reply.push(b'\n');
                reply
            }
            Ok(Line::Progress(step)) if step.is_question() => {
                line(text);
                // Reading standard input blocks its thread.
                let answered = tokio::task::spawn_blocking(move || (decision(&mut answers), answers)).await;
                let decided;
                (decided, answers) = answered.map_err(io::Error::other).map_err(fault)?;
                vec![decided.map_err(fault)?]
            }
            _ => {
                line(text);
                continue;
            }
        };
        // Writing to a pipe fails only if lpac has ended. Its output then ends too.
        let _ = to_lpac.write_all(&reply).await;
    }
    child.wait().await.map_err(fault)
}

/// Returns the answer to a question: one character without a line feed, which lpac would take for
/// the response to its next request for the card.
fn decision(answers: &mut impl BufRead) -> io::Result<u8> {
    let mut text = Vec::new();
    answers.take(MAX_LINE_OCTETS).read_until(b'\n', &mut text)?;
    Ok(text.iter().copied().find(|octet| !octet.is_ascii_whitespace()).unwrap_or(b'n'))
}

async fn answer(card: &mut impl CardInterface, question: Payload) -> Executed {
    let parameter = question.param.as_deref().and_then(unhex).unwrap_or_default();
    match question.func.as_deref() {
        Some("connect") => Executed::code(card.reset().await.map_or(-1, |_| 0)),
        Some("disconnect") => Executed::code(0),
        Some("logic_channel_open") => {
            Executed::code(open_channel(card, &parameter).await.map_or(-1, i32::from))
        }
        Some("logic_channel_close") => match parameter.first() {
            Some(channel) => {
                let closed = card.transmit(&[0x00, 0x70, 0x80, *channel, 0x00]).await;
                Executed::code(closed.map_or(-1, |_| 0))
            }
            None => Executed::code(-1),
        },
        Some("transmit") => match card.transmit(&parameter).await {
            Ok(response) => Executed { ecode: 0, data: Some(hex(&response)) },
            Err(_) => Executed::code(-1),
        },
        _ => Executed::code(-1),
    }
}

/// Opens a channel with MANAGE CHANNEL and selects an application by name.
async fn open_channel(card: &mut impl CardInterface, aid: &[u8]) -> Option<u8> {
    let opened = card.transmit(&[0x00, 0x70, 0x00, 0x00, 0x01]).await.ok()?;
    let [channel @ 1..=3, 0x90, 0x00] = opened.as_slice() else { return None };
    let length = u8::try_from(aid.len()).ok()?;
    let select = [&[*channel, 0xA4, 0x04, 0x00, length], aid].concat();
    let selected = card.transmit(&select).await.ok()?;
    matches!(selected.as_slice(), [.., 0x90, 0x00] | [.., 0x61, _]).then_some(*channel)
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use world::{Atr, CardInterfaceFault};

    use super::*;

    /// A card that opens channel 2, has one AID, and echoes other commands.
    struct Card;

    impl CardInterface for Card {
        async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
            Ok(match command {
                [0x00, 0x70, 0x00, 0x00, 0x01] => vec![2, 0x90, 0x00],
                [0x02, 0xA4, 0x04, 0x00, 2, 0xA0, 0x01] => vec![0x61, 0x10],
                [0x02, 0xA4, ..] => vec![0x6A, 0x82],
                other => [other, &[0x90, 0x00]].concat(),
            })
        }

        async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
            Ok(Atr(vec![0x3B]))
        }
    }

    /// A card that was removed.
    struct NoCard;

    impl CardInterface for NoCard {
        async fn transmit(&mut self, _: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
            Err(CardInterfaceFault::NoCard("it was removed".into()))
        }

        async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
            Err(CardInterfaceFault::NoCard("it was removed".into()))
        }
    }

    /// Runs a shell script in place of lpac: it prints each request and then the answer as a
    /// result.
    async fn conversation(card: impl CardInterface, questions: &[&str]) -> Vec<String> {
        let script: String =
            questions.iter().map(|q| format!("echo '{q}'; read answer; echo \"got $answer\"; ")).collect();
        let mut shell = Command::new("sh");
        shell.args(["-c", &script]);
        let mut lines = Vec::new();
        let status = run_lpac(shell, card, io::empty(), |line| lines.push(line.to_owned())).await.unwrap();
        assert!(status.success());
        lines
    }

    #[tokio::test]
    async fn lpac_is_answered_line_by_line() {
        let lines = conversation(
            Card,
            &[
                r#"{"type":"apdu","payload":{"func":"connect","param":null}}"#,
                r#"{"type":"apdu","payload":{"func":"logic_channel_open","param":"A001"}}"#,
                r#"{"type":"apdu","payload":{"func":"logic_channel_open","param":"A0FF"}}"#,
                r#"{"type":"apdu","payload":{"func":"transmit","param":"80E2"}}"#,
                r#"{"type":"apdu","payload":{"func":"logic_channel_close","param":"02"}}"#,
                r#"{"type":"apdu","payload":{"func":"disconnect","param":null}}"#,
            ],
        )
        .await;
        assert_eq!(
            lines,
            [
                r#"got {"type":"apdu","payload":{"ecode":0}}"#,
                r#"got {"type":"apdu","payload":{"ecode":2}}"#,
                r#"got {"type":"apdu","payload":{"ecode":-1}}"#,
                r#"got {"type":"apdu","payload":{"ecode":0,"data":"80E29000"}}"#,
                r#"got {"type":"apdu","payload":{"ecode":0}}"#,
                r#"got {"type":"apdu","payload":{"ecode":0}}"#,
            ]
        );
    }

    #[tokio::test]
    async fn requests_that_fail_are_answered_with_a_negative_code() {
        let without_a_card = [
            r#"{"type":"apdu","payload":{"func":"connect","param":null}}"#,
            r#"{"type":"apdu","payload":{"func":"logic_channel_open","param":"A001"}}"#,
            r#"{"type":"apdu","payload":{"func":"logic_channel_close","param":"02"}}"#,
            r#"{"type":"apdu","payload":{"func":"transmit","param":"80E2"}}"#,
        ];
        let invalid = [
            r#"{"type":"apdu","payload":{"func":"logic_channel_close","param":null}}"#,
            r#"{"type":"apdu","payload":{"func":"another_function","param":null}}"#,
        ];
        let answers = [conversation(NoCard, &without_a_card).await, conversation(Card, &invalid).await];
        for answer in answers.concat() {
            assert_eq!(answer, r#"got {"type":"apdu","payload":{"ecode":-1}}"#);
        }
    }

    #[tokio::test]
    async fn an_lpac_that_ends_in_a_request_and_prints_other_octets_has_an_exit_status() {
        let mut shell = Command::new("sh");
        let request = r#"{"type":"apdu","payload":{"func":"connect"}}"#;
        shell.args(["-c", &format!("exec 0<&-; printf '\\377\\r\\n'; echo '{request}'; exit 3")]);
        let mut lines = Vec::new();
        let status = run_lpac(shell, Card, io::empty(), |line| lines.push(line.to_owned())).await.unwrap();
        assert_eq!((status.code(), lines), (Some(3), vec!["\u{FFFD}".to_owned()]));
    }

    /// lpac reads the answer with getchar() and the response to its next request as a line.
    #[tokio::test]
    async fn a_question_is_answered_with_one_character_of_a_line() {
        for (answers, expected) in [("y\nz\n", "y"), (" n\n", "n"), ("", "n"), ("\n", "n")] {
            let mut shell = Command::new("sh");
            let question = r#"{"type":"progress","payload":{"code":0,"message":"preview","data":"y/n"}}"#;
            let request = r#"{"type":"apdu","payload":{"func":"connect","param":null}}"#;
            let read = "answer=$(dd bs=1 count=1 2>/dev/null)";
            let script = format!(
                "echo '{question}'; {read}; echo '{request}'; read response; echo \"$answer $response\""
            );
            shell.args(["-c", &script]);
            let mut lines = Vec::new();
            run_lpac(shell, Card, answers.as_bytes(), |line| lines.push(line.to_owned())).await.unwrap();
            let response = format!(r#"{expected} {{"type":"apdu","payload":{{"ecode":0}}}}"#);
            assert_eq!(lines, [question, &response], "{answers:?}");
        }
    }

    #[tokio::test]
    async fn a_missing_program_is_a_fault() {
        let fault = run_lpac(Command::new("no-such-lpac"), Card, io::empty(), |_| ()).await.unwrap_err();
        assert!(
            fault.what.contains("no-such-lpac") && fault.next.starts_with("install no-such-lpac"),
            "{fault}"
        );
    }
}
