//! A card in a modem: AT+CSIM (TS 27.007 section 8.17) on a serial port, or over TCP if the port is
//! served there.
//!
//! The radio of the modem is switched off (AT+CFUN=4), so that only this program uses the card.

use std::io;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::unix::pipe;
use tokio::time::timeout;
use world::{Atr, BoxByteStream, CardInterface, CardInterfaceFault};

/// Time-out for an answer. A card can take seconds for a command, and a modem can take seconds to
/// power up the card.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Maximum length of an answer. A line has the 520 digits of an APDU and some letters.
const MAX_ANSWER: usize = 4096;

/// A card behind a modem.
pub struct AtCard {
    place: String,
    /// `None` after a failure, so that a late answer is not mistaken for the answer to the next
    /// command.
    modem: Option<BoxByteStream>,
}

impl AtCard {
    /// Opens the modem at `place`: the path of a serial port, or `host:port`.
    ///
    /// # Errors
    /// There is no device at the address, or the device does not answer like a modem.
    pub async fn open(place: &str) -> Result<Self, CardInterfaceFault> {
        let mut card = Self { place: place.to_owned(), modem: None };
        card.connect().await?;
        Ok(card)
    }

    async fn connect(&mut self) -> Result<(), CardInterfaceFault> {
        let opened = match self.place.contains('/') {
            true => serial(&self.place),
            false => TcpStream::connect(&self.place).await.map(|stream| Box::new(stream) as BoxByteStream),
        };
        let no_card = |why: io::Error| CardInterfaceFault::NoCard(format!("{}: {why}", self.place));
        self.modem = Some(opened.map_err(no_card)?);
        // Switches off echo and reports refusals as ERROR.
        for command in ["ATE0", "AT+CMEE=0"] {
            self.command(command).await?;
        }
        Ok(())
    }

    /// Sends a command and returns the lines of the answer, without the final OK.
    async fn command(&mut self, command: &str) -> Result<Vec<String>, CardInterfaceFault> {
        let broken = |why: String| CardInterfaceFault::Broken(format!("{}: {why}", self.place));
        let mut modem =
            self.modem.take().ok_or_else(|| broken("the connection failed earlier".to_owned()))?;
        let answered = timeout(ANSWER_TIMEOUT, exchange(&mut modem, command)).await;
        match answered {
            Ok(Ok(Some(lines))) => {
                self.modem = Some(modem);
                Ok(lines)
            }
            Ok(Ok(None)) => {
                self.modem = Some(modem);
                let what = command.split('=').next().unwrap_or(command);
                Err(CardInterfaceFault::Card(format!("{}: the modem refused {what}", self.place)))
            }
            Ok(Err(error)) => Err(CardInterfaceFault::Broken(format!("{}: {error}", self.place))),
            Err(_) => Err(CardInterfaceFault::Timeout(self.place.clone())),
        }
    }
}

impl CardInterface for AtCard {
    async fn transmit(&mut self, command: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        let digits = hex::encode_upper(command);
        let lines = self.command(&format!("AT+CSIM={},\"{digits}\"", digits.len())).await?;
        let response = lines.iter().find_map(|line| response(line));
        let garbled =
            || CardInterfaceFault::Garbled(format!("{}: the answer to +CSIM was {lines:?}", self.place));
        response.filter(|response| response.len() >= 2).ok_or_else(garbled)
    }

    /// Restores a broken connection too. The returned answer to reset is empty, because the modem
    /// does not report it.
    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        if self.modem.is_none() {
            self.connect().await?;
        }
        for functionality in ["AT+CFUN=0", "AT+CFUN=4"] {
            self.command(functionality).await?;
        }
        Ok(Atr::default())
    }
}

/// Parses the APDU of `+CSIM: <length>,<response>`, with or without quotes.
fn response(line: &str) -> Option<Vec<u8>> {
    let (length, digits) = line.strip_prefix("+CSIM:")?.split_once(',')?;
    let digits = digits.trim().trim_matches('"');
    let is_whole = length.trim().parse() == Ok(digits.len());
    hex::decode(digits).ok().filter(|_| is_whole)
}

/// Sends a command and returns the lines of the answer, or `None` if the modem refuses.
async fn exchange(modem: &mut BoxByteStream, command: &str) -> io::Result<Option<Vec<String>>> {
    modem.write_all(format!("{command}\r").as_bytes()).await?;
    let (mut lines, mut line) = (Vec::new(), Vec::new());
    for _ in 0..MAX_ANSWER {
        match modem.read_u8().await? {
            b'\r' | b'\n' => {
                let text = String::from_utf8_lossy(&line).trim().to_owned();
                line.clear();
                match text.as_str() {
                    "OK" => return Ok(Some(lines)),
                    "ERROR" => return Ok(None),
                    refusal if refusal.starts_with("+CME ERROR") => return Ok(None),
                    _ => lines.push(text),
                }
            }
            octet => line.push(octet),
        }
    }
    Err(io::Error::other("the answer is longer than that of a modem"))
}

/// Opens a serial port in raw mode without echo.
fn serial(path: &str) -> io::Result<BoxByteStream> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let port = rustix::fs::open(path, flags, Mode::empty())?;
    let mut raw = tcgetattr(&port)?;
    raw.make_raw();
    tcsetattr(&port, OptionalActions::Now, &raw)?;
    // These files are not pipes, but the pipe types of tokio drive any pollable file without
    // `unsafe`.
    let from_modem = pipe::Receiver::from_owned_fd_unchecked(port.try_clone()?)?;
    let to_modem = pipe::Sender::from_owned_fd_unchecked(port)?;
    Ok(Box::new(tokio::io::join(from_modem, to_modem)))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWrite, BufReader};
    use tokio::net::TcpListener;

    use super::super::Pty;
    use super::*;

    /// The answer of a simulated modem to a line. Its card echoes the command.
    fn answer(line: &str, resets: &mut u8) -> String {
        match line.split_once('=') {
            Some(("AT+CSIM", apdu)) if apdu.contains("FF") => "\r\n+CME ERROR: 13\r\n".to_owned(),
            Some(("AT+CSIM", apdu)) if apdu.contains("FE") => "\r\nERROR\r\n".to_owned(),
            Some(("AT+CSIM", apdu)) => {
                let digits = apdu.split('"').nth(1).unwrap();
                format!(
                    "\r\n+CREG: 0\r\n+CSIM: {},\"{digits}{resets:02X}9000\"\r\n\r\nOK\r\n",
                    digits.len() + 6
                )
            }
            Some(("AT+CFUN", "4")) => {
                *resets += 1;
                "\r\nOK\r\n".to_owned()
            }
            _ => "\r\nOK\r\n".to_owned(),
        }
    }

    async fn check_card(place: &str) {
        let mut card = AtCard::open(place).await.unwrap();
        assert_eq!(card.reset().await.unwrap(), Atr::default());
        assert_eq!(card.transmit(&[0, 0xa4, 0, 4]).await.unwrap(), [0, 0xa4, 0, 4, 1, 0x90, 0]);
        for refused in [0xff, 0xfe] {
            assert!(matches!(card.transmit(&[0, refused]).await, Err(CardInterfaceFault::Card(_))));
        }
        card.reset().await.unwrap();
        assert_eq!(card.transmit(&[7; 100]).await.unwrap()[100..], [2, 0x90, 0]);
    }

    #[tokio::test]
    async fn a_card_is_usable_over_at_commands_on_tcp() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let (reader, mut writer) = stream.into_split();
            serve(BufReader::new(reader), &mut writer).await;
        });
        check_card(&address).await;
    }

    async fn serve(mut reader: impl AsyncBufReadExt + Unpin, writer: &mut (impl AsyncWrite + Unpin)) {
        let (mut line, mut resets) = (Vec::new(), 0);
        while reader.read_until(b'\r', &mut line).await.unwrap() > 0 {
            let answer = answer(String::from_utf8(std::mem::take(&mut line)).unwrap().trim(), &mut resets);
            writer.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_card_is_usable_over_at_commands_on_a_serial_port() {
        let port = Pty::open(None).unwrap();
        let path = port.path().display().to_string();
        tokio::spawn(async move {
            let (mut line, mut resets) = (String::new(), 0);
            loop {
                line += &String::from_utf8(port.read().await.unwrap()).unwrap();
                while let Some((command, rest)) = line.split_once('\r') {
                    let answer = answer(command, &mut resets);
                    line = rest.to_owned();
                    port.write(answer.as_bytes()).await.unwrap();
                }
            }
        });
        check_card(&path).await;
    }

    #[test]
    fn only_complete_answers_are_responses() {
        assert_eq!(response("+CSIM: 4,\"9000\""), Some(vec![0x90, 0]));
        assert_eq!(response("+CSIM: 4,9000"), Some(vec![0x90, 0]));
        for bad in ["+CSIM: 6,\"9000\"", "+CSIM: 4,\"90ZZ\"", "+CRSM: 4,\"9000\"", "+CSIM: 9000"] {
            assert_eq!(response(bad), None, "{bad}");
        }
    }
}
