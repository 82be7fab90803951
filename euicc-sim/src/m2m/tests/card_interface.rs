//! The worked examples through the APDU interface: secured packets in short messages, in envelopes
//! of the terminal.

use crypto::scp80::{self, Head, Opened, Protection};
use rsp::ids::Aid;
use rsp::ota::cat::Envelope;
use rsp::ota::script::{Chaining, Command, Form, Script, ScriptResponse};
use rsp::ota::secured_packet::{CommandHeader, KeyReference, Spi, Tar};
use rsp::ota::sms::{Address, PacketKind, Reference, SmsDeliver, segments};

use super::oce::{Plan, challenge, initialize_update};
use super::testbed::{SCP80, Testbed, aid, create_isd_p, unhex};
use crate::state::m2m::LifeCycle;

/// The SM-SR of the testbed with its packet counter.
struct SmSr {
    testbed: Testbed,
    counter: u64,
}

impl SmSr {
    /// Sends a script in as many short messages as necessary, and returns the response from the
    /// last delivery report.
    fn send(&mut self, target: Aid, chaining: Option<Chaining>, commands: Vec<Command>) -> Vec<String> {
        self.counter += 1;
        let tar = Tar::of_aid(&target.0).unwrap();
        let header = CommandHeader {
            spi: Spi::COMMAND_ANSWERED_IN_REPORT,
            kic: KeyReference::aes(SCP80),
            kid: KeyReference::aes(SCP80),
            tar,
        };
        let keys = scp80::Keys { kic: [0x01; 16].into(), kid: [0x02; 16].into() };
        let [_, _, _, counter @ ..] = self.counter.to_be_bytes();
        let data = Script { form: Form::Definite, chaining, commands }.to_bytes();
        let packet = Opened { counter, status: 0, data };
        let packet = scp80::seal(Head::Command(&header.to_bytes()), &packet, Protection::FULL, &keys);
        let reference = Reference::Short(u8::try_from(self.counter).unwrap());
        let parts = segments(&packet, PacketKind::Command, reference).unwrap();
        let report = parts.into_iter().map(|part| self.deliver(part)).last().unwrap();
        assert_eq!(report[..3], [0x02, 0x71, 0x00]);
        let head = Head::Response(&tar.0, &[0x02, 0x71, 0x00]);
        let opened = scp80::open(head, &report[3..], Protection::FULL, &keys).unwrap();
        assert_eq!((opened.status, opened.counter), (0, counter));
        super::testbed::text(&ScriptResponse::parse(&opened.data).unwrap())
    }

    /// Delivers one message, including GET RESPONSE.
    fn deliver(&mut self, part: rsp::ota::sms::UserData) -> Vec<u8> {
        let from: Address = Address::from_value(&unhex("913386994211F1")).unwrap();
        let tpdu = SmsDeliver::data_download(from, [0x62; 7], part).to_bytes();
        let envelope = Envelope::SmsPpDownload { service_centre: None, tpdu }.to_bytes();
        let length = u8::try_from(envelope.len()).unwrap();
        let mut answer =
            self.testbed.card.transmit(&[&[0x80, 0xC2, 0, 0, length], envelope.as_slice()].concat());
        let mut report = Vec::new();
        loop {
            let status = answer.split_off(answer.len() - 2);
            report.append(&mut answer);
            match status[..] {
                [0x61, length] => answer = self.testbed.card.transmit(&[0, 0xC0, 0, 0, length]),
                [0x90 | 0x91, _] => return report,
                _ => panic!("{status:02X?}"),
            }
        }
    }

    fn apdus(&mut self, chaining: Option<Chaining>, apdus: &[String]) -> Vec<String> {
        let commands = apdus.iter().map(|apdu| Command::Apdu(unhex(apdu))).collect();
        self.send(Aid(Aid::ISD_R.to_vec()), chaining, commands)
    }
}

#[test]
fn the_worked_examples_run_in_short_messages() {
    const ISD_P: u16 = 0x11;
    let mut sm_sr = SmSr { testbed: Testbed::new(), counter: 0 };
    let delete = format!("80E40040124F10{}00", aid(ISD_P));
    assert_eq!(sm_sr.apdus(None, &[delete, create_isd_p(&aid(ISD_P), None)]), ["009000", "009000"]);
    let plan = Plan::for_isd_p(ISD_P);
    let first = sm_sr.apdus(plan.chaining[0], &plan.first());
    let challenge = challenge(first.last().unwrap()).unwrap();
    assert_eq!(
        sm_sr.apdus(plan.chaining[1], &[plan.second(&challenge)]),
        ["861064E6D742F0583A58A9D74821E3C0304B9000"]
    );
    // From here on, all octets to the ISD-P are those of the example.
    let isd_p = Aid::isd_p(ISD_P);
    let tlv = |octets: &[u8]| vec![Command::SecureChannel(octets.to_vec())];
    assert_eq!(
        sm_sr.send(isd_p.clone(), Some(Chaining::First), tlv(&initialize_update(0x30))),
        ["842000000000000000000000300370CE2811C576F5FBB04CDBF8607D8ABD6C000001"]
    );
    let authenticate = unhex("851133b2169b5a8e068107e9b7d2041530b344");
    assert_eq!(sm_sr.send(isd_p.clone(), Some(Chaining::Following), tlv(&authenticate)), ["8500"]);
    let segment = unhex("86189861d386b19dfe3779395c3c9373eff56d36468ae290cb2f");
    let answers = sm_sr.send(isd_p, Some(Chaining::Last), tlv(&segment));
    // The profile header of the example is invalid, so the response, which is secured with the
    // session keys, is an error.
    assert!(answers[0].starts_with("86") && answers[0].len() > 20, "{answers:?}");
    assert_eq!(sm_sr.testbed.life_cycle(ISD_P), Some(LifeCycle::Personalised));
    assert_eq!(sm_sr.testbed.state().key_set(SCP80).unwrap().counter, sm_sr.counter);
}
