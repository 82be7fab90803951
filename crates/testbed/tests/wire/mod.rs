//! A wire that changes one message between two parties, and changes of messages.

#![allow(dead_code, reason = "each test program uses a part of it")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use euicc_sim::Card;
use http::{Request, Response};
use rsp::der::{Reader, Tag, tlv, tlv_bytes};
use serde_json::{Value, json};
use world::{Atr, CardInterface, CardInterfaceFault, Link, link_from};

/// An element that no version defines.
pub(crate) const UNKNOWN: [u8; 4] = [0x9F, 0x7F, 0x01, 0x00];

/// A change of one message.
pub(crate) enum Change {
    /// A request, by its function: `ES9+.AuthenticateClient`.
    Request(&'static str, fn(&mut Request<Bytes>)),
    /// A response, by the function.
    Response(&'static str, fn(&mut Response<Bytes>)),
    /// A command to the card, by its tag.
    Command(u32, fn(&[u8]) -> Vec<u8>),
    /// A response of the card, by its tag.
    Answer(u32, fn(&[u8]) -> Vec<u8>),
}

/// The wire between the parties, which changes one message each time it is sent.
#[derive(Clone)]
pub(crate) struct Wire {
    change: Arc<Change>,
    /// The number of changed messages.
    changed: Arc<Mutex<usize>>,
}

impl Wire {
    pub(crate) fn new(change: Change) -> Self {
        Self { change: Arc::new(change), changed: Arc::default() }
    }

    /// The number of changed messages.
    pub(crate) fn changed(&self) -> usize {
        *self.changed.lock().unwrap()
    }

    fn count(&self) {
        *self.changed.lock().unwrap() += 1;
    }

    pub(crate) fn link(&self, server: Link) -> Link {
        self.link_at("ES9+", server)
    }

    /// A link to a server. LPAs call the functions of ES11 by the paths of ES9+, so `es9plus` is the
    /// interface of these paths at the server.
    pub(crate) fn link_at(&self, es9plus: &'static str, server: Link) -> Link {
        let wire = self.clone();
        link_from(tower::service_fn(move |mut request: Request<Bytes>| {
            let (wire, server) = (wire.clone(), server.clone());
            async move {
                let called = faults::function_of(&request).unwrap_or_default();
                let called = called.replace("ES9+", es9plus);
                match &*wire.change {
                    Change::Request(function, change) if called == *function => {
                        change(&mut request);
                        wire.count();
                    }
                    _ => {}
                }
                let mut response = world::send(&server, request).await?;
                match &*wire.change {
                    Change::Response(function, change) if called == *function => {
                        change(&mut response);
                        wire.count();
                    }
                    _ => {}
                }
                Ok::<_, world::LinkFault>(response)
            }
        }))
    }
}

/// The reader of a card. It collects each chain of STORE DATA and each response, so that it can
/// change a whole message.
pub(crate) struct Reading {
    wire: Wire,
    card: Arc<Mutex<Card>>,
    command: Vec<u8>,
    /// The rest of a response, with its status word.
    answer: (Vec<u8>, [u8; 2]),
}

impl Reading {
    pub(crate) fn new(wire: &Wire, card: &Arc<Mutex<Card>>) -> Self {
        let (wire, card) = (wire.clone(), Arc::clone(card));
        Self { wire, card, command: Vec::new(), answer: (Vec::new(), [0x90, 0x00]) }
    }

    /// Sends one command to the card, and fetches the whole response.
    fn exchange(&self, apdu: &[u8]) -> (Vec<u8>, [u8; 2]) {
        let mut card = self.card.lock().unwrap();
        let mut answer = card.transmit(apdu);
        let mut data = Vec::new();
        loop {
            let status: [u8; 2] = answer.split_off(answer.len() - 2).try_into().unwrap();
            data.extend(answer);
            match status {
                [0x61, octets] => answer = card.transmit(&[apdu[0] & 0x03, 0xC0, 0, 0, octets]),
                status => return (data, status),
            }
        }
    }

    fn store_data(&mut self, header: &[u8]) -> (Vec<u8>, [u8; 2]) {
        let mut command = std::mem::take(&mut self.command);
        if let Change::Command(tag, change) = &*self.wire.change
            && starts_with(&command, *tag)
        {
            command = change(&command);
            self.wire.count();
        }
        let blocks: Vec<&[u8]> = command.chunks(255).collect();
        let mut answer = (Vec::new(), [0x90, 0x00]);
        for (number, block) in blocks.iter().enumerate() {
            let p1 = if number + 1 == blocks.len() { 0x91 } else { 0x11 };
            let length = u8::try_from(block.len()).unwrap();
            let apdu = [&[header[0], 0xE2, p1, u8::try_from(number).unwrap(), length], *block].concat();
            answer = self.exchange(&apdu);
        }
        if let Change::Answer(tag, change) = &*self.wire.change
            && starts_with(&answer.0, *tag)
        {
            answer.0 = change(&answer.0);
            self.wire.count();
        }
        answer
    }

    /// Returns the next part of the response.
    fn next(&mut self, octets: usize) -> Vec<u8> {
        let (rest, status) = &mut self.answer;
        let mut part: Vec<u8> = rest.drain(..octets.min(rest.len())).collect();
        match u8::try_from(rest.len()) {
            Ok(0) => part.extend(*status),
            length => part.extend([0x61, length.unwrap_or(0)]),
        }
        part
    }
}

fn starts_with(message: &[u8], tag: u32) -> bool {
    Reader::new(message).peek() == Ok(Some(Tag(tag)))
}

impl CardInterface for Reading {
    async fn transmit(&mut self, apdu: &[u8]) -> Result<Vec<u8>, CardInterfaceFault> {
        Ok(match apdu[1] {
            0xE2 => {
                self.command.extend(&apdu[5..5 + usize::from(apdu[4])]);
                if apdu[2] & 0x80 == 0 {
                    return Ok(vec![0x90, 0x00]);
                }
                self.answer = self.store_data(apdu);
                self.next(0)
            }
            0xC0 if !self.answer.0.is_empty() => {
                let wanted = apdu.get(4).map_or(256, |le| if *le == 0 { 256 } else { usize::from(*le) });
                self.next(wanted)
            }
            _ => self.card.lock().unwrap().transmit(apdu),
        })
    }

    async fn reset(&mut self) -> Result<Atr, CardInterfaceFault> {
        Ok(self.card.lock().unwrap().reset())
    }
}

/// Changes a JSON body.
pub(crate) fn edit(body: &mut Bytes, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(body).unwrap();
    change(&mut value);
    *body = serde_json::to_vec(&value).unwrap().into();
}

/// Adds a member that no version defines.
pub(crate) fn unknown_member(body: &mut Bytes) {
    edit(body, |value| value["unknownMember"] = json!({"later": 1}));
}

/// Adds an unknown element at the end of the outermost element.
pub(crate) fn unknown_element(message: &[u8]) -> Vec<u8> {
    let (tag, contents) = tlv::split(message).unwrap();
    tlv_bytes(tag, &[contents, &UNKNOWN].concat())
}

/// Writes the outermost length in a longer form.
pub(crate) fn long_length(message: &[u8]) -> Vec<u8> {
    let (tag, contents) = tlv::split(message).unwrap();
    let mut out = Vec::new();
    tag.write(&mut out);
    out.push(0x84);
    out.extend(u32::try_from(contents.len()).unwrap().to_be_bytes());
    out.extend(contents);
    out
}
