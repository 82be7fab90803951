//! The testbed: a card with five profiles, and scripts in hexadecimal text.

use std::sync::{Arc, LazyLock};

use crypto::{Curve, SecretKey};
use profile::generic::Subscription;
use profile::{Octets, ProfileElement, generic};
use rsp::ids::{Aid, Eid, Iccid};
use rsp::ota::script::{Answer, Chaining, Command, Form, Script, ScriptResponse};
use world::{Fault, ManualClock, Memory, RamMemory, Random, SeededRandom, World};

use super::oce;
use crate::kind::{CardContext, CardKind};
use crate::m2m::context::M2mContext;
use crate::m2m::keys::{Key, KeyKind, KeySet};
use crate::m2m::{Addressing, FactoryProfile, M2mDescription, script};
use crate::state::m2m::{LifeCycle, State};
use crate::state::{Persistent, Volatile};
use crate::{Card, CardDescription, Shared};

/// The SM-SR keys that secure the scripts of these tests.
pub(crate) const SCP80: u8 = 0x01;
pub(crate) const SCP81: u8 = 0x40;

/// DEK of [`SCP80`] and of [`SCP81`].
pub(crate) const DEK: [u8; 16] = [0x03; 16];
pub(crate) const DEK_81: [u8; 16] = [0x42; 16];

/// ISD-P numbers. The bootstrap profile is enabled and has the fallback attribute. The other four
/// are disabled: one without policy rules, one that must not be disabled, one that must not be
/// deleted, and one that is deleted when it is disabled.
pub(crate) const BOOTSTRAP: u16 = 0x10;
pub(crate) const NO_RULES: u16 = 0x11;
pub(crate) const NO_DISABLE: u16 = 0x12;
pub(crate) const NO_DELETE: u16 = 0x13;
pub(crate) const DELETE_ON_DISABLE: u16 = 0x14;
/// An ISD-P that tests create.
pub(crate) const NEW: u16 = 0x20;

pub(crate) const ISD_R: Aid16 = Aid16(Aid::ISD_R);
pub(crate) const ECASD: Aid16 = Aid16(Aid::ECASD);

/// An AID with a constant constructor.
#[derive(Clone, Copy)]
pub(crate) struct Aid16(pub(crate) [u8; 16]);

impl From<Aid16> for Aid {
    fn from(aid: Aid16) -> Self {
        Self(aid.0.to_vec())
    }
}

impl From<u16> for Aid16 {
    fn from(number: u16) -> Self {
        Self(Aid::isd_p(number).0.try_into().unwrap())
    }
}

/// The AID of an ISD-P in hexadecimal.
pub(crate) fn aid(number: u16) -> String {
    Aid::isd_p(number).to_string()
}

static SHARED: LazyLock<Arc<Shared>> = LazyLock::new(Arc::default);

pub(crate) struct Testbed {
    pub(crate) card: Card,
}

/// A snapshot of the complete card state.
pub(crate) struct Snapshot {
    persistent: Persistent,
    state: State,
    volatile: Volatile,
}

pub(crate) fn iccid(number: u16) -> Iccid {
    Iccid::with_luhn(&format!("8988303000000{number:05}")).unwrap()
}

/// A profile package with this ICCID number and these policy rules.
pub(crate) fn package(number: u16, pol1: Option<u8>) -> Vec<u8> {
    let mut package = generic(&Subscription {
        iccid: iccid(number).to_profile_header(),
        imsi: format!("0010100000{number:05}"),
        ..Subscription::default()
    });
    if let Some(ProfileElement::Header(header)) = package.elements.first_mut() {
        header.pol = pol1.map(|rules| Octets::from([rules]));
        header.connectivity_parameters = Octets::from_hex("A0090607913386994211F1");
    }
    package.encode()
}

static PACKAGES: LazyLock<Vec<(u16, Vec<u8>)>> = LazyLock::new(|| {
    let rules = [
        (BOOTSTRAP, None),
        (NO_RULES, Some(0)),
        (NO_DISABLE, Some(1)),
        (NO_DELETE, Some(2)),
        (DELETE_ON_DISABLE, Some(4)),
    ];
    rules.into_iter().map(|(number, rules)| (number, package(number, rules))).collect()
});

pub(crate) fn description() -> CardDescription {
    let eid: Eid = "89001012012341234012345678901224".parse().unwrap();
    let profiles = PACKAGES.iter().map(|(number, package)| FactoryProfile {
        isd_p: Aid::isd_p(*number),
        package: package.clone().into(),
        enabled: *number == BOOTSTRAP,
        fallback: *number == BOOTSTRAP,
        key_sets: Vec::new(),
    });
    let key = |id, kind, value: [u8; 16]| Key { id, kind, value: value.into() };
    let ecasd = SecretKey::from_bytes(Curve::P256, &[0x22; 32]).unwrap();
    CardDescription {
        m2m: Some(Box::new(M2mDescription {
            ecasd_certificate: oce::ecasd_certificate(&ecasd).into(),
            ecasd_key: [0x22; 32].into(),
            ci_public_key: oce::ci().public_key().to_sec1().into(),
            sin: Octets::from_hex("0102").unwrap(),
            sdin: Octets::from_hex("0304").unwrap(),
            key_sets: vec![
                KeySet::of_three(SCP80, [[0x01; 16], [0x02; 16], DEK], 0),
                KeySet {
                    version: SCP81,
                    keys: vec![key(1, KeyKind::TlsPsk, [0x41; 16]), key(2, KeyKind::Aes, DEK_81)],
                    counter: 0,
                },
            ],
            addressing: Addressing { sms: Octets::from_hex("913386994211F1"), https: None, dns: None },
            profiles: profiles.collect(),
            toolkit: crate::m2m::toolkit::ToolkitSettings::default(),
        })),
        ..CardDescription::default_for(eid, &[])
    }
}

impl Testbed {
    pub(crate) fn new() -> Self {
        Self::with(|_| {}, RamMemory::default())
    }

    pub(crate) fn with(change: impl FnOnce(&mut CardDescription), memory: impl Memory + 'static) -> Self {
        Self::with_random(change, memory, SeededRandom::from_text("m2m"))
    }

    pub(crate) fn with_random(
        change: impl FnOnce(&mut CardDescription),
        memory: impl Memory + 'static,
        random: impl Random + 'static,
    ) -> Self {
        let mut description = description();
        change(&mut description);
        let clock = ManualClock::at("2026-11-22T08:00:00Z".parse().unwrap());
        let world = World::new(clock, random);
        let card = Card::open_among(description, memory, world, &SHARED).unwrap();
        Self { card }
    }

    /// Runs a script like the transports do, and commits its changes as a whole. Returns `None` if
    /// the memory fails.
    pub(crate) fn try_run(
        &mut self,
        target: impl Into<Aid>,
        secured: u8,
        script: &Script,
    ) -> Option<ScriptResponse> {
        let target = target.into();
        let before = crate::snapshot(&mut self.card.volatile);
        let answer = self.commit(|context| script::run(context, &target, secured, script));
        if answer.is_err() {
            self.card.volatile = before;
        }
        answer.ok()
    }

    pub(crate) fn run(&mut self, target: impl Into<Aid>, script: &Script) -> ScriptResponse {
        self.try_run(target, SCP80, script).unwrap()
    }

    /// Runs C-APDUs in one script and returns the responses in hexadecimal.
    pub(crate) fn apdus(
        &mut self,
        target: impl Into<Aid>,
        chaining: Option<Chaining>,
        apdus: &[String],
    ) -> Vec<String> {
        let apdus = apdus.iter().map(|apdu| Command::Apdu(unhex(apdu))).collect();
        let script = Script { form: Form::Definite, chaining, commands: apdus };
        text(&self.run(target, &script))
    }

    /// Runs one C-APDU to the ISD-R in a script of its own.
    pub(crate) fn es5(&mut self, apdu: &str) -> String {
        self.apdus(ISD_R, None, &[apdu.to_owned()]).concat()
    }

    /// Runs STORE DATA with one data group.
    pub(crate) fn store(&mut self, group: &str) -> String {
        self.es5(&store_data(group))
    }

    #[track_caller]
    pub(crate) fn expect(&mut self, apdu: &str, expected: &str) {
        assert_eq!(self.es5(apdu), expected, "response to {apdu}");
    }

    /// Sends one APDU of the terminal.
    pub(crate) fn terminal(&mut self, apdu: &str) -> String {
        hex::encode_upper(self.card.transmit(&unhex(apdu)))
    }

    pub(crate) fn state(&self) -> &State {
        let CardKind::M2m(card) = &self.card.kind else { panic!("not an M2M card") };
        &card.state
    }

    pub(crate) fn state_mut(&mut self) -> &mut State {
        let CardKind::M2m(card) = &mut self.card.kind else { panic!("not an M2M card") };
        &mut card.state
    }

    /// Calls a function of SGP.02 and commits its changes.
    pub(crate) fn commit<T>(&mut self, decide: impl FnOnce(&mut M2mContext<'_>) -> T) -> Result<T, Fault> {
        self.card.commit(|context| match context {
            CardContext::M2m(context) => decide(context),
            CardContext::Consumer(_) => panic!("not an M2M card"),
        })
    }

    pub(crate) fn life_cycle(&self, number: u16) -> Option<LifeCycle> {
        self.state().life_cycle(&self.card.persistent, &Aid::isd_p(number))
    }

    pub(crate) fn memory_used(&self) -> u32 {
        self.state().memory_used(&self.card.persistent)
    }

    pub(crate) fn memory(&self) -> (Persistent, State) {
        (self.card.persistent.clone(), self.state().clone())
    }

    /// A snapshot of the card.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let (persistent, state) = self.memory();
        Snapshot { persistent, state, volatile: self.card.volatile.clone() }
    }

    pub(crate) fn restore(&mut self, snapshot: &Snapshot) {
        self.card.persistent.clone_from(&snapshot.persistent);
        self.state_mut().clone_from(&snapshot.state);
        self.card.volatile.clone_from(&snapshot.volatile);
    }

    /// Creates an ISD-P, with this many octets granted.
    pub(crate) fn create(&mut self, number: u16, granted: Option<u32>) -> String {
        self.es5(&create_isd_p(&aid(number), granted))
    }
}

/// The three keys of a key set.
pub(crate) fn aes_keys(set: &KeySet) -> [[u8; 16]; 3] {
    [1, 2, 3].map(|id| *set.aes(id).unwrap().expose())
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).unwrap()
}

/// The responses of a script: R-APDUs and the TLVs of SCP03t.
pub(crate) fn text(response: &ScriptResponse) -> Vec<String> {
    assert_eq!(response.executed, Some(u16::try_from(response.answers.len()).unwrap()));
    let answer = |answer: &Answer| match answer {
        Answer::Apdu(apdu) => format!("{}{}", hex::encode_upper(&apdu.data), apdu.status),
        Answer::SecureChannel(tlv) | Answer::ImmediateAction(tlv) => hex::encode_upper(tlv),
    };
    response.answers.iter().map(answer).collect()
}

/// Prefixes data with their length.
pub(crate) fn lv(data: &str) -> String {
    format!("{:02X}{data}", data.len() / 2)
}

/// `80 E2 88 00` with one data group.
pub(crate) fn store_data(group: &str) -> String {
    format!("80E28800{}", lv(&group.replace(' ', "")))
}

/// A data group that addresses an ISD-P.
pub(crate) fn isd_p_group(group: &str, number: u16) -> String {
    format!("{group}124F10{}", aid(number))
}

pub(crate) fn create_isd_p(isd_p: &str, granted: Option<u32>) -> String {
    const LOAD_FILE: &str = "A0000005591010FFFFFFFF8900000D00";
    const MODULE: &str = "A0000005591010FFFFFFFF8900000E00";
    let quota = granted.map_or(String::new(), |granted| format!("EF068304{granted:08X}"));
    let fields = [LOAD_FILE, MODULE, isd_p, "80C000", &format!("C90481020370{quota}"), ""];
    format!("80E60C00{}00", lv(&fields.map(lv).concat()))
}
