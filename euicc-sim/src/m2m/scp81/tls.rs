//! A TLS 1.2 client with pre-shared keys and without I/O: RFC 5246, RFC 4279, RFC 5487; SGP.02
//! section 2.4.4.
//!
//! It supports two cipher suites, and neither resumption, renegotiation nor compression. The caller
//! passes octets in both directions. An error in the server's octets produces an alert and ends the
//! connection.

mod record;

use std::{fmt, mem};

use crypto::{Secret, is_equal};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use record::{ContentType, Protection, Record, Suite, VERSION, key_block, protections, record};

/// Length of an AES key in octets.
const KEY: usize = 16;
/// Maximum length of a sent fragment. The client also requests it from the server (RFC 6066 section
/// 4, where the value 2 stands for 1024 octets).
const FRAGMENT: usize = 1024;
const MAX_FRAGMENT_LENGTH_1024: u8 = 2;
/// Maximum length of a handshake message. The messages are short, because they contain no
/// certificates.
const MAX_HANDSHAKE: usize = 4096;
const MASTER: usize = 48;
const VERIFY_DATA: usize = 12;

const MAX_FRAGMENT_LENGTH: u16 = 0x0001;
const RENEGOTIATION_INFO: u16 = 0xFF01;
/// TLS_EMPTY_RENEGOTIATION_INFO_SCSV.
const RENEGOTIATION_SCSV: u16 = 0x00FF;

mod message {
    pub(super) const CLIENT_HELLO: u8 = 1;
    pub(super) const SERVER_HELLO: u8 = 2;
    pub(super) const SERVER_KEY_EXCHANGE: u8 = 12;
    pub(super) const SERVER_HELLO_DONE: u8 = 14;
    pub(super) const CLIENT_KEY_EXCHANGE: u8 = 16;
    pub(super) const FINISHED: u8 = 20;
}

/// An alert description: RFC 5246 section 7.2.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Alert(u8);

impl Alert {
    const CLOSE_NOTIFY: Self = Self(0);
    const UNEXPECTED_MESSAGE: Self = Self(10);
    const BAD_RECORD_MAC: Self = Self(20);
    const RECORD_OVERFLOW: Self = Self(22);
    const ILLEGAL_PARAMETER: Self = Self(47);
    const DECODE_ERROR: Self = Self(50);
    const DECRYPT_ERROR: Self = Self(51);
    const PROTOCOL_VERSION: Self = Self(70);
    const UNSUPPORTED_EXTENSION: Self = Self(110);
}

impl fmt::Debug for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Alert({})", self.0)
    }
}

/// The reason for the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TlsError {
    /// The server sent a fatal alert.
    #[error("the server closed the connection with TLS alert {0:?}")]
    PeerAlert(Alert),
    /// The server violated the protocol or failed a check.
    #[error("the server's TLS messages were refused with {0:?}")]
    Refused(Alert),
}

/// A TLS connection.
#[derive(Clone)]
pub(super) struct Client {
    state: State,
    /// Octets of an incomplete record.
    received: Vec<u8>,
    /// Octets of incomplete handshake messages.
    handshake: Vec<u8>,
    output: Vec<u8>,
    plaintext: Vec<u8>,
    sending: Option<Protection>,
    receiving: Option<Protection>,
}

/// The expected handshake message.
#[derive(Clone)]
enum State {
    ExpectServerHello(HandshakeStart),
    /// Also accepts a ServerKeyExchange with a PSK identity hint, which is ignored.
    ExpectServerHelloDone(Agreed),
    ExpectChangeCipherSpec(Proof, Protection),
    ExpectFinished(Proof),
    Connected,
    /// The server sent close_notify.
    Closed,
    Broken(TlsError),
}

#[derive(Clone)]
struct HandshakeStart {
    psk_identity: Vec<u8>,
    psk: Secret<Vec<u8>>,
    client_random: [u8; 32],
    seed: Secret<[u8; 32]>,
    transcript: Sha256,
}

#[derive(Clone)]
struct Agreed {
    start: HandshakeStart,
    server_random: [u8; 32],
    suite: Suite,
    was_hinted: bool,
}

/// The data to verify the server's Finished message.
#[derive(Clone)]
struct Proof {
    master: Secret<[u8; MASTER]>,
    transcript: Sha256,
}

impl Client {
    /// Starts a connection, with the ClientHello in the output. `random` must be 64 unpredictable
    /// octets.
    pub(super) fn new(psk_identity: &[u8], psk: &[u8], random: [u8; 64]) -> Self {
        let (mut client_random, mut seed) = ([0; 32], [0; 32]);
        for (octet, from) in client_random.iter_mut().chain(&mut seed).zip(random) {
            *octet = from;
        }
        let mut transcript = Sha256::new();
        let hello = client_hello(&client_random);
        transcript.update(&hello);
        let start = HandshakeStart {
            psk_identity: psk_identity.to_vec(),
            psk: Secret::new(psk.to_vec()),
            client_random,
            seed: Secret::new(seed),
            transcript,
        };
        Self {
            state: State::ExpectServerHello(start),
            received: Vec::new(),
            handshake: Vec::new(),
            output: record(ContentType::Handshake, &hello, None),
            plaintext: Vec::new(),
            sending: None,
            receiving: None,
        }
    }

    /// Processes octets from the server.
    pub(super) fn receive(&mut self, octets: &[u8]) -> Result<(), TlsError> {
        if let State::Broken(error) = self.state {
            return Err(error);
        }
        self.received.extend_from_slice(octets);
        let taken = self.take_records();
        if let Err(error) = taken {
            if let TlsError::Refused(alert) = error {
                self.send_alert(alert);
            }
            self.state = State::Broken(error);
        }
        taken
    }

    /// Sends data, once connected.
    pub(super) fn send(&mut self, plain: &[u8]) {
        if matches!(self.state, State::Connected) {
            for fragment in plain.chunks(FRAGMENT) {
                self.put(ContentType::ApplicationData, fragment);
            }
        }
    }

    /// Sends close_notify.
    pub(super) fn close(&mut self) {
        if matches!(self.state, State::Connected | State::Closed) {
            self.send_alert(Alert::CLOSE_NOTIFY);
        }
    }

    /// Takes the octets to send to the server.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.output)
    }

    /// Takes the decrypted data from the server.
    pub(super) fn take_plaintext(&mut self) -> Vec<u8> {
        mem::take(&mut self.plaintext)
    }

    /// True after the server has proved that it has the key.
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, State::Connected)
    }

    /// True after the server has sent close_notify.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    fn take_records(&mut self) -> Result<(), TlsError> {
        while !self.is_closed()
            && let Some(record) = Record::cut(&mut self.received).map_err(TlsError::Refused)?
        {
            let content_type = record.content_type;
            let contents = record.open(self.receiving.as_mut()).map_err(TlsError::Refused)?;
            match content_type {
                ContentType::Alert => self.take_alert(&contents)?,
                ContentType::Handshake => self.take_handshake(&contents).map_err(TlsError::Refused)?,
                ContentType::ChangeCipherSpec => {
                    self.take_change_cipher_spec(&contents).map_err(TlsError::Refused)?;
                }
                ContentType::ApplicationData if self.is_connected() => self.plaintext.extend(contents),
                ContentType::ApplicationData => return Err(TlsError::Refused(Alert::UNEXPECTED_MESSAGE)),
            }
        }
        Ok(())
    }

    fn take_alert(&mut self, contents: &[u8]) -> Result<(), TlsError> {
        const WARNING: u8 = 1;
        match contents {
            [_, 0] if self.is_connected() => {
                self.state = State::Closed;
                Ok(())
            }
            [WARNING, description] if *description != 0 => Ok(()),
            [_, description] => Err(TlsError::PeerAlert(Alert(*description))),
            _ => Err(TlsError::Refused(Alert::DECODE_ERROR)),
        }
    }

    fn take_change_cipher_spec(&mut self, contents: &[u8]) -> Result<(), Alert> {
        match mem::replace(&mut self.state, State::Closed) {
            State::ExpectChangeCipherSpec(proof, receiving)
                if contents == [1] && self.handshake.is_empty() =>
            {
                self.receiving = Some(receiving);
                self.state = State::ExpectFinished(proof);
                Ok(())
            }
            _ => Err(Alert::UNEXPECTED_MESSAGE),
        }
    }

    /// Processes handshake messages, which can be split across records or share a record.
    fn take_handshake(&mut self, contents: &[u8]) -> Result<(), Alert> {
        if contents.is_empty() {
            return Err(Alert::UNEXPECTED_MESSAGE);
        }
        self.handshake.extend_from_slice(contents);
        while let [kind, high, middle, low, rest @ ..] = self.handshake.as_slice() {
            let length = u32::from_be_bytes([0, *high, *middle, *low]);
            let length = usize::try_from(length).map_err(|_| Alert::DECODE_ERROR)?;
            if length > MAX_HANDSHAKE {
                return Err(Alert::DECODE_ERROR);
            }
            let Some(body) = rest.get(..length).map(<[u8]>::to_vec) else { return Ok(()) };
            let kind = *kind;
            let whole: Vec<u8> = self.handshake.drain(..length + 4).collect();
            self.take_message(kind, &body, &whole)?;
        }
        Ok(())
    }

    fn take_message(&mut self, kind: u8, body: &[u8], whole: &[u8]) -> Result<(), Alert> {
        self.state = match (mem::replace(&mut self.state, State::Closed), kind) {
            (State::ExpectServerHello(mut start), message::SERVER_HELLO) => {
                start.transcript.update(whole);
                let (server_random, suite) = server_hello(body)?;
                State::ExpectServerHelloDone(Agreed { start, server_random, suite, was_hinted: false })
            }
            (State::ExpectServerHelloDone(mut agreed), message::SERVER_KEY_EXCHANGE)
                if !agreed.was_hinted =>
            {
                // The message must consist of psk_identity_hint with its length.
                let is_hint = body
                    .split_first_chunk::<2>()
                    .is_some_and(|(length, hint)| usize::from(u16::from_be_bytes(*length)) == hint.len());
                if !is_hint {
                    return Err(Alert::DECODE_ERROR);
                }
                agreed.start.transcript.update(whole);
                State::ExpectServerHelloDone(Agreed { was_hinted: true, ..agreed })
            }
            (State::ExpectServerHelloDone(mut agreed), message::SERVER_HELLO_DONE) if body.is_empty() => {
                agreed.start.transcript.update(whole);
                self.answer_hello(agreed)?
            }
            (State::ExpectFinished(proof), message::FINISHED) => {
                let expected = verify_data(&proof.master, b"server finished", &proof.transcript);
                if !is_equal(&expected, body) {
                    return Err(Alert::DECRYPT_ERROR);
                }
                State::Connected
            }
            _ => return Err(Alert::UNEXPECTED_MESSAGE),
        };
        Ok(())
    }

    /// Builds ClientKeyExchange, ChangeCipherSpec and Finished.
    fn answer_hello(&mut self, agreed: Agreed) -> Result<State, Alert> {
        let Agreed { start, server_random, suite, .. } = agreed;
        let HandshakeStart { psk_identity, psk, client_random, seed, mut transcript } = start;
        let identity_length = u16::try_from(psk_identity.len()).unwrap_or(u16::MAX).to_be_bytes();
        let exchange =
            handshake(message::CLIENT_KEY_EXCHANGE, &[identity_length.as_slice(), &psk_identity].concat());
        transcript.update(&exchange);
        // The premaster secret: RFC 4279 section 2.
        let psk = psk.expose();
        let key_length = u16::try_from(psk.len()).unwrap_or(u16::MAX).to_be_bytes();
        let premaster = [&key_length, vec![0; psk.len()].as_slice(), &key_length, psk].concat();
        let premaster = Secret::new(premaster);
        let mut master = [0; MASTER];
        derive(premaster.expose(), b"master secret", &[&client_random, &server_random], &mut master);
        let master = Secret::new(master);
        let mut block = vec![0; key_block(suite)];
        derive(master.expose(), b"key expansion", &[&server_random, &client_random], &mut block);
        let block = Secret::new(block);
        let (sending, receiving) =
            protections(suite, &mut block.expose().as_slice(), seed).ok_or(Alert::ILLEGAL_PARAMETER)?;
        self.put(ContentType::Handshake, &exchange);
        self.put(ContentType::ChangeCipherSpec, &[1]);
        self.sending = Some(sending);
        let finished = handshake(message::FINISHED, &verify_data(&master, b"client finished", &transcript));
        transcript.update(&finished);
        self.put(ContentType::Handshake, &finished);
        Ok(State::ExpectChangeCipherSpec(Proof { master, transcript }, receiving))
    }

    fn put(&mut self, content_type: ContentType, plain: &[u8]) {
        let record = record(content_type, plain, self.sending.as_mut());
        self.output.extend(record);
    }

    fn send_alert(&mut self, alert: Alert) {
        const WARNING: u8 = 1;
        const FATAL: u8 = 2;
        let level = if alert == Alert::CLOSE_NOTIFY { WARNING } else { FATAL };
        self.put(ContentType::Alert, &[level, alert.0]);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.state {
            State::ExpectServerHello(_) => "Client(expects ServerHello)",
            State::ExpectServerHelloDone(_) => "Client(expects ServerHelloDone)",
            State::ExpectChangeCipherSpec(..) => "Client(expects ChangeCipherSpec)",
            State::ExpectFinished(_) => "Client(expects Finished)",
            State::Connected => "Client(connected)",
            State::Closed => "Client(closed)",
            State::Broken(_) => "Client(broken)",
        })
    }
}

fn handshake(kind: u8, body: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
    [[kind].as_slice(), &length, body].concat()
}

fn client_hello(random: &[u8; 32]) -> Vec<u8> {
    let suites = [Suite::Gcm as u16, Suite::Cbc as u16, RENEGOTIATION_SCSV].map(u16::to_be_bytes).concat();
    let suites_length = u16::try_from(suites.len()).unwrap_or_default().to_be_bytes();
    let [kind_high, kind_low] = MAX_FRAGMENT_LENGTH.to_be_bytes();
    let extension = [kind_high, kind_low, 0, 1, MAX_FRAGMENT_LENGTH_1024];
    let extensions_length = u16::try_from(extension.len()).unwrap_or_default().to_be_bytes();
    let no_session = [0];
    let no_compression = [1, 0];
    let body = [
        VERSION.as_slice(),
        random,
        &no_session,
        &suites_length,
        &suites,
        &no_compression,
        &extensions_length,
        &extension,
    ]
    .concat();
    handshake(message::CLIENT_HELLO, &body)
}

fn server_hello(body: &[u8]) -> Result<([u8; 32], Suite), Alert> {
    let (version, rest) = body.split_first_chunk::<2>().ok_or(Alert::DECODE_ERROR)?;
    if *version != VERSION {
        return Err(Alert::PROTOCOL_VERSION);
    }
    let (random, rest) = rest.split_first_chunk::<32>().ok_or(Alert::DECODE_ERROR)?;
    let (session, rest) = rest.split_first().ok_or(Alert::DECODE_ERROR)?;
    let rest = rest.get(usize::from(*session)..).filter(|_| *session <= 32).ok_or(Alert::DECODE_ERROR)?;
    let (suite, rest) = rest.split_first_chunk::<2>().ok_or(Alert::DECODE_ERROR)?;
    let suite = [Suite::Gcm, Suite::Cbc].into_iter().find(|each| (*each as u16).to_be_bytes() == *suite);
    let suite = suite.ok_or(Alert::ILLEGAL_PARAMETER)?;
    let (compression, rest) = rest.split_first().ok_or(Alert::DECODE_ERROR)?;
    if *compression != 0 {
        return Err(Alert::ILLEGAL_PARAMETER);
    }
    server_extensions(rest)?;
    Ok((*random, suite))
}

/// Accepts only extensions that the client has offered.
fn server_extensions(rest: &[u8]) -> Result<(), Alert> {
    let Some((length, mut extensions)) = rest.split_first_chunk::<2>() else {
        return if rest.is_empty() { Ok(()) } else { Err(Alert::DECODE_ERROR) };
    };
    if usize::from(u16::from_be_bytes(*length)) != extensions.len() {
        return Err(Alert::DECODE_ERROR);
    }
    while let [kind_high, kind_low, high, low, rest @ ..] = extensions {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(Alert::DECODE_ERROR)?;
        match (u16::from_be_bytes([*kind_high, *kind_low]), value) {
            (MAX_FRAGMENT_LENGTH, [MAX_FRAGMENT_LENGTH_1024]) | (RENEGOTIATION_INFO, [0]) => {}
            (MAX_FRAGMENT_LENGTH | RENEGOTIATION_INFO, _) => return Err(Alert::ILLEGAL_PARAMETER),
            _ => return Err(Alert::UNSUPPORTED_EXTENSION),
        }
        extensions = rest;
    }
    if extensions.is_empty() { Ok(()) } else { Err(Alert::DECODE_ERROR) }
}

/// The PRF: RFC 5246 section 5.
fn derive(secret: &[u8], label: &[u8], seeds: &[&[u8]], out: &mut [u8]) {
    let seed = [label, &seeds.concat()].concat();
    let keyed = |parts: &[&[u8]]| -> [u8; 32] {
        // HMAC accepts a key of any length.
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret);
        let mut mac = mac.unwrap_or_else(|_| <Hmac<Sha256> as KeyInit>::new(&Default::default()));
        parts.iter().for_each(|part| mac.update(part));
        mac.finalize().into_bytes().into()
    };
    let mut step = keyed(&[&seed]);
    for chunk in out.chunks_mut(32) {
        for (octet, from) in chunk.iter_mut().zip(keyed(&[&step, &seed])) {
            *octet = from;
        }
        step = keyed(&[&step]);
    }
}

fn verify_data(master: &Secret<[u8; MASTER]>, label: &[u8], transcript: &Sha256) -> [u8; VERIFY_DATA] {
    let hash: [u8; 32] = transcript.clone().finalize().into();
    let mut data = [0; VERIFY_DATA];
    derive(master.expose(), label, &[&hash], &mut data);
    data
}

#[cfg(test)]
pub(in crate::m2m) mod tests;
