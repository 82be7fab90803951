//! Tests of power cuts before and after every write of every M2M function, and between any two
//! scripts. After the cut, the card is in the state before or after one of the writes, and accepts
//! the function again.

use std::sync::LazyLock;

use rsp::ids::Aid;
use rsp::ota::script::{Chaining, Command, Form, Script, ScriptResponse};
use world::{Cells, Memory, RamMemory};

use super::oce::{self, Host, Plan, challenge, initialize_update};
use super::oce::{cbc_encrypt, cmac};
use super::testbed::{
    DEK, DELETE_ON_DISABLE, ISD_R, NEW, NO_DELETE, NO_RULES, SCP80, Testbed, aid, create_isd_p, isd_p_group,
    lv, package, store_data, text, unhex,
};
use crate::m2m::keys::{Key, KeyKind, KeySet};
use crate::state::m2m::{Identity, LifeCycle};
use crate::tests::cut_memory::CutMemory;

/// A conversation. Returns its last response, or `None` if the memory or the power fails.
type Act = fn(&mut Reader) -> Option<String>;

/// A function with the number of its writes, its response on the card of [`START`], and other
/// permitted responses to its repetition.
struct Row {
    function: Function,
    name: &'static str,
    writes: usize,
    answer: &'static str,
    again: &'static [&'static str],
    act: Act,
}

/// The tested function: an instruction to the ISD-R with P1 and P2, a data group of STORE DATA to
/// the ISD-R, or a command to an ISD-P.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Function {
    Apdu(u8, u8, u8),
    Group(u16),
    IsdP,
}

use Function::{Apdu, Group, IsdP};

/// A card in a reader with power for a number of scripts and resets.
struct Reader {
    testbed: Testbed,
    power: Option<usize>,
}

impl Reader {
    fn new(memory: impl Memory + 'static) -> Self {
        Self { testbed: Testbed::with(|_| {}, memory), power: None }
    }

    fn has_power(&mut self) -> bool {
        let left = self.power;
        self.power = left.map(|left| left.saturating_sub(1));
        left != Some(0)
    }

    fn run(&mut self, target: impl Into<Aid>, script: &Script) -> Option<ScriptResponse> {
        if !self.has_power() {
            return None;
        }
        self.testbed.try_run(target, SCP80, script)
    }

    fn apdus(
        &mut self,
        target: impl Into<Aid>,
        chaining: Option<Chaining>,
        apdus: &[String],
    ) -> Option<String> {
        let commands = apdus.iter().map(|apdu| Command::Apdu(unhex(apdu))).collect();
        let response = self.run(target, &Script { form: Form::Definite, chaining, commands })?;
        Some(text(&response).pop().unwrap_or_default())
    }

    fn es5(&mut self, apdu: String) -> Option<String> {
        self.apdus(ISD_R, None, &[apdu])
    }

    fn tlv(&mut self, chaining: Chaining, tlv: Vec<u8>) -> Option<String> {
        let commands = vec![Command::SecureChannel(tlv)];
        let script = Script { form: Form::Indefinite, chaining: Some(chaining), commands };
        Some(text(&self.run(Aid::isd_p(NEW), &script)?).concat())
    }

    fn reset(&mut self) -> Option<()> {
        self.has_power().then(|| drop(self.testbed.card.reset()))
    }

    fn establish(&mut self, plan: &Plan, is_reset_between: bool) -> Option<String> {
        let first = self.apdus(ISD_R, plan.chaining[0], &plan.first())?;
        let Some(challenge) = challenge(&first) else { return Some(first) };
        if is_reset_between {
            self.reset()?;
        }
        let answer = self.apdus(ISD_R, plan.chaining[1], &[plan.second(&challenge)])?;
        Some(answer.chars().skip(answer.len().saturating_sub(4)).collect())
    }

    /// Opens a channel to [`NEW`] with its initial keys.
    fn open(&mut self) -> Option<Result<Host, String>> {
        let answer = self.tlv(Chaining::First, initialize_update(0x30))?;
        let Some(opened) = answer.strip_prefix("8420") else { return Some(Err(answer)) };
        let mut host = Host::new(keys(), NEW, &unhex(opened));
        self.tlv(Chaining::Following, host.authenticate(0x33))?;
        Some(Ok(host))
    }

    fn over_scp03(&mut self, header: [u8; 4], data: &str) -> Option<String> {
        let initialize = format!("8050300008{}00", hex::encode(oce::HOST_CHALLENGE));
        let answer = self.apdus(Aid::isd_p(NEW), Some(Chaining::First), &[initialize])?;
        let mut host = Host::new(keys(), NEW, &unhex(answer.strip_suffix("9000").unwrap()));
        let authenticate = hex::encode(host.external_authenticate(0x33));
        self.apdus(Aid::isd_p(NEW), Some(Chaining::Following), &[authenticate])?;
        let apdu = hex::encode(host.apdu(header, &unhex(data)));
        let answer = self.apdus(Aid::isd_p(NEW), Some(Chaining::Last), &[apdu])?;
        Some(host.answer(&answer).chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect())
    }
}

fn keys() -> [[u8; 16]; 3] {
    oce::derive(&Plan::for_isd_p(NEW), &[], &[]).1.try_into().unwrap()
}

fn confirmation(sequence_number: u16) -> String {
    format!("80E28900073A08044E02{sequence_number:04X}00")
}

const TOKEN_KEY: [u8; 16] = [0x70; 16];

fn master_delete() -> String {
    let covered = format!("4F10{}B60F420201024501035F200204059301AA", aid(NO_DELETE));
    let length = u8::try_from(covered.len() / 2).unwrap();
    let token = cmac(&TOKEN_KEY, &[&[0x00, 0x40, length][..], &unhex(&covered)]);
    format!("80E40040{}", lv(&format!("{covered}9E10{}", hex::encode_upper(token))))
}

/// The initial card of every row: the card of the testbed, with keys but no profile in [`NEW`], a
/// token key for the owner of [`NO_DELETE`], and a second key set in the ISD-R.
static START: LazyLock<Cells> = LazyLock::new(|| {
    let memory = RamMemory::default();
    let mut testbed = Testbed::with(|_| {}, memory.clone());
    let assign_owner = |context: &mut crate::m2m::context::M2mContext<'_>| {
        let state = context.state.to_mut();
        let isd_p = state.isd_p_mut(&Aid::isd_p(NO_DELETE)).unwrap();
        isd_p.identity =
            Identity { sin: vec![1, 2].into(), sdin: vec![3].into(), provider: vec![4, 5].into() };
        let key = Key { id: 1, kind: KeyKind::Aes, value: TOKEN_KEY.into() };
        isd_p.key_sets.push(KeySet { version: 0x70, keys: vec![key], counter: 0 });
        state.key_sets.push(KeySet::of_three(0x05, [[5; 16], [6; 16], [7; 16]], 0));
    };
    testbed.commit(assign_owner).unwrap();
    oce::personalised(&mut testbed, NEW);
    memory.load().unwrap()
});

const ROWS: &[Row] = &[
    Row {
        function: Apdu(0xE6, 0x0C, 0x00),
        name: "CreateISDP",
        writes: 1,
        answer: "009000",
        again: &["6A80"],
        act: |reader| reader.es5(create_isd_p(&aid(NEW + 1), Some(5000))),
    },
    Row {
        function: Group(0x3A03),
        name: "EnableProfile, then a reset",
        writes: 2,
        answer: "9000",
        again: &["6985"],
        act: |reader| {
            let answer = reader.es5(store_data(&isd_p_group("3A03", NO_RULES)))?;
            reader.reset()?;
            Some(answer)
        },
    },
    Row {
        function: Group(0x3A04),
        name: "DisableProfile of an enabled and confirmed profile, then a reset",
        writes: 5,
        answer: "9000",
        again: &["6985"],
        act: |reader| {
            reader.es5(store_data(&isd_p_group("3A03", NO_RULES)))?;
            reader.reset()?;
            reader.es5(confirmation(1))?;
            let answer = reader.es5(store_data(&isd_p_group("3A04", NO_RULES)))?;
            reader.reset()?;
            Some(answer)
        },
    },
    Row {
        function: Group(0x3A08),
        name: "HandleNotificationConfirmation with the deletion of a profile",
        writes: 6,
        answer: "80124F10A0000005591010FFFFFFFF89000014009000",
        again: &["9000"],
        act: |reader| {
            for (number, sequence_number) in [(DELETE_ON_DISABLE, 1), (NO_RULES, 2)] {
                reader.es5(store_data(&isd_p_group("3A03", number)))?;
                reader.reset()?;
                let answer = reader.es5(confirmation(sequence_number))?;
                if sequence_number == 2 {
                    return Some(answer);
                }
            }
            None
        },
    },
    Row {
        function: Group(0x3A05),
        name: "SetFallBackAttribute",
        writes: 1,
        answer: "9000",
        again: &[],
        act: |reader| reader.es5(store_data(&isd_p_group("3A05", NO_RULES))),
    },
    Row {
        function: Group(0x3A09),
        name: "SetEmergencyProfileAttribute",
        writes: 1,
        answer: "9000",
        again: &[],
        act: |reader| reader.es5(store_data(&isd_p_group("3A09", DELETE_ON_DISABLE))),
    },
    Row {
        function: Apdu(0xE4, 0x00, 0x40),
        name: "DeleteProfile",
        writes: 1,
        answer: "9000",
        again: &["6A88"],
        act: |reader| reader.es5(format!("80E40040124F10{}", aid(NO_RULES))),
    },
    Row {
        function: Apdu(0xE4, 0x00, 0x40),
        name: "DeleteProfile of an ISD-P without a profile",
        writes: 1,
        answer: "9000",
        again: &["6A88"],
        act: |reader| reader.es5(format!("80E40040124F10{}", aid(NEW))),
    },
    Row {
        function: Apdu(0xE4, 0x00, 0x40),
        name: "MasterDelete",
        writes: 1,
        answer: "9000",
        again: &["6A88"],
        act: |reader| reader.es5(master_delete()),
    },
    Row {
        function: Group(0x3A07),
        name: "UpdateSMSRAddressingParameters",
        writes: 1,
        answer: "9000",
        again: &[],
        act: |reader| reader.es5(store_data("3A07 0B A309 81 07 91112233445566")),
    },
    Row {
        function: Apdu(0xD8, 0x00, 0x01),
        name: "PUT KEY",
        writes: 1,
        answer: "419000",
        again: &["6985"],
        act: |reader| {
            let wrapped = hex::encode(cbc_encrypt(&DEK, &[0x51; 16]));
            reader.es5(format!("80D80001{}00", lv(&format!("41851110{wrapped}00"))))
        },
    },
    Row {
        function: Apdu(0xE4, 0x00, 0x00),
        name: "FinaliseISDRhandover",
        writes: 1,
        answer: "9000",
        again: &[],
        act: |reader| reader.es5("80E400000AF203010103F203400102".to_owned()),
    },
    // The challenge is stored for the second script and deleted with it.
    Row {
        function: Group(0x3A01),
        name: "EstablishISDRKeySet",
        writes: 2,
        answer: "9000",
        again: &[],
        act: |reader| reader.establish(&Plan::for_isd_r(0x02), false),
    },
    Row {
        function: Group(0x3A02),
        name: "EstablishISDRKeySet, with a reset in the middle",
        writes: 2,
        answer: "9000",
        again: &[],
        act: |reader| reader.establish(&Plan::for_isd_r(0x02), true),
    },
    Row {
        function: Group(0x3A02),
        name: "EstablishISDPKeySet in a chain that a reset ends",
        writes: 1,
        answer: "9000",
        again: &[],
        act: |reader| {
            let chaining = [Some(Chaining::First), Some(Chaining::Last)];
            reader.establish(&Plan { chaining, version: 0x31, ..Plan::for_isd_p(NEW) }, false)
        },
    },
    // The card writes the sequence counter, and then the parameters.
    Row {
        function: IsdP,
        name: "UpdateConnectivityParameters",
        writes: 2,
        answer: "9000",
        again: &[],
        act: |reader| reader.over_scp03([0x84, 0xE2, 0x88, 0x00], "3A070BA0090607913386994211F1"),
    },
    Row {
        function: IsdP,
        name: "Personalisation of an ISD-P",
        writes: 2,
        answer: "9000",
        again: &[],
        act: |reader| reader.over_scp03([0x84, 0xE2, 0x88, 0x00], "00700442020102"),
    },
    Row {
        function: IsdP,
        name: "PUT KEY to an ISD-P",
        writes: 2,
        answer: "9000",
        again: &["6985"],
        act: |reader| {
            let wrapped = hex::encode(cbc_encrypt(&keys()[2], &TOKEN_KEY));
            reader.over_scp03([0x84, 0xD8, 0x00, 0x01], &format!("70881110{wrapped}00"))
        },
    },
    // The card writes the sequence counter, and then the profile.
    Row {
        function: IsdP,
        name: "DownloadAndInstallation",
        writes: 2,
        answer: "installed",
        again: &["9F440102"],
        act: |reader| {
            let mut host = match reader.open()? {
                Ok(host) => host,
                Err(refused) => return Some(refused),
            };
            for segment in package(NEW, None).chunks(1000) {
                if reader.tlv(Chaining::Following, host.segment(segment))? != "8600" {
                    return Some("installed".to_owned());
                }
            }
            None
        },
    },
];

/// Asserts that every profile is complete, one is enabled, and the audit reports the correct free
/// memory.
fn assert_consistent(cells: &Cells, what: &str) {
    let mut testbed = Testbed::with(|_| {}, RamMemory::of(cells.clone()));
    let isd_ps: Vec<Aid> = testbed.state().isd_ps.iter().map(|isd_p| isd_p.aid.clone()).collect();
    let states: Vec<_> =
        isd_ps.iter().map(|aid| testbed.state().life_cycle(&testbed.card.persistent, aid).unwrap()).collect();
    assert_eq!(states.iter().filter(|state| **state == LifeCycle::Enabled).count(), 1, "{what}");
    let fallback = testbed.state().fallback.clone().unwrap();
    assert!(testbed.card.persistent.profile(&fallback).is_some(), "{what}");
    for profile in testbed.card.persistent.profiles.clone() {
        assert!(isd_ps.contains(&profile.isd_p), "{what}: a profile without an ISD-P");
        let files = &profile.content.files;
        for (index, file) in files.all() {
            assert_eq!(files.content(index).is_none(), file.kind.is_directory(), "{what}: {}", file.fid);
        }
    }
    let free = testbed.card.description.memory_size - testbed.memory_used();
    assert!(testbed.es5("80CAFF2100").contains(&format!("8204{free:08X}")), "{what}");
    assert_eq!(testbed.terminal("00A4000C022FE2"), "9000", "{what}");
    // A profile switch succeeds.
    let other = isd_ps.iter().zip(&states).find(|(_, state)| **state == LifeCycle::Disabled).unwrap().0;
    let is_unconfirmed = testbed.commit(|context| crate::m2m::notification::is_unconfirmed(context));
    if !is_unconfirmed.unwrap() {
        assert_eq!(testbed.store(&format!("3A03124F10{other}")), "9000", "{what}");
        testbed.card.reset();
        assert_eq!(testbed.card.persistent.enabled.as_ref(), Some(other), "{what}");
    }
}

#[test]
fn every_function_is_atomic_after_every_power_cut() {
    for row in ROWS {
        let whole = CutMemory::intact(START.clone());
        let mut reader = Reader::new(whole.clone());
        reader.power = Some(usize::MAX);
        assert_eq!((row.act)(&mut reader).as_deref(), Some(row.answer), "{}", row.name);
        let scripts = usize::MAX - reader.power.unwrap();
        let mut states = vec![START.clone()];
        states.extend(whole.written());
        assert_eq!(states.len() - 1, row.writes, "writes of {}", row.name);

        for write in 0..row.writes {
            for after in [false, true] {
                let memory = CutMemory::new(START.clone(), write, after);
                let _ = (row.act)(&mut Reader::new(memory.clone()));
                let when = if after { "after" } else { "before" };
                assert!(
                    memory.cells() == states[write + usize::from(after)],
                    "{}, cut {when} write {write}",
                    row.name
                );
            }
        }
        let mut so_far = 0;
        for script in 0..scripts {
            let memory = CutMemory::intact(START.clone());
            let mut reader = Reader::new(memory.clone());
            reader.power = Some(script);
            let what = format!("{}, cut before script {script} of {scripts}", row.name);
            assert_eq!((row.act)(&mut reader), None, "{what}");
            let writes = memory.writes();
            assert!(so_far <= writes && memory.cells() == states[writes], "{what}");
            so_far = writes;
        }
        for (write, cells) in states.iter().enumerate() {
            let what = format!("{} after {write} writes", row.name);
            assert_consistent(cells, &what);
            let mut reader = Reader::new(RamMemory::of(cells.clone()));
            let again = (row.act)(&mut reader).unwrap();
            assert!(again == row.answer || row.again.contains(&again.as_str()), "{what}, again: {again}");
        }
    }
}

/// Functions that only read, or whose state a reset clears: INSTALL for personalization, GET
/// STATUS, GET DATA.
const NON_WRITING: &[Function] =
    &[Apdu(0xE6, 0x20, 0x00), Apdu(0xF2, 0x40, 0x02), Apdu(0xF2, 0x40, 0x03), Apdu(0xCA, 0x00, 0x5A)];

/// Every function that the ISD-R supports must be in the table.
#[test]
fn every_function_is_in_the_table() {
    let known: Vec<Function> =
        ROWS.iter().map(|row| row.function).chain(NON_WRITING.iter().copied()).collect();
    let mut testbed = Testbed::with(|_| {}, RamMemory::of(START.clone()));
    for ins in 0..=0xFF_u8 {
        let answer = testbed.es5(&format!("80{ins:02X}0000"));
        let is_known =
            known.iter().any(|function| matches!(function, Apdu(known, ..) if *known == ins) || ins == 0xE2);
        assert_eq!(answer != "6D00", is_known, "INS {ins:02X}: {answer}");
    }
    for (ins, parameters) in [(0xE4, [0x00, 0x40]), (0xE6, [0x00, 0x00])] {
        for p1 in 0..=0xFF_u8 {
            for p2 in parameters {
                let answer = testbed.es5(&format!("80{ins:02X}{p1:02X}{p2:02X}00"));
                assert_eq!(
                    answer != "6A86",
                    known.contains(&Apdu(ins, p1, p2)),
                    "{ins:02X} {p1:02X} {p2:02X}: {answer}"
                );
            }
        }
    }
    for group in 0..=0xFFFF_u16 {
        let answer = testbed.es5(&format!("80E2880003{group:04X}00"));
        assert_eq!(answer != "6A88", known.contains(&Group(group)), "{group:04X}: {answer}");
    }
}

#[test]
fn refused_and_reading_commands_write_nothing() {
    let memory = CutMemory::intact(START.clone());
    let mut reader = Reader::new(memory.clone());
    for apdu in ["80F24002024F0000", "80CAFF2100", "80CABF30045C027F2100", "80E40040124F10", "80A40400"] {
        reader.es5(apdu.to_owned()).unwrap();
    }
    reader.es5(store_data(&isd_p_group("3A03", NEW + 5))).unwrap();
    reader.apdus(ISD_R, Some(Chaining::First), &Plan::for_isd_p(NEW).first()).unwrap();
    reader.reset().unwrap();
    assert_eq!(memory.writes(), 0);
    // If the memory cannot be written, there is no response and no change.
    let memory = CutMemory::new(START.clone(), 0, false);
    let mut reader = Reader::new(memory.clone());
    let before = reader.testbed.memory();
    assert_eq!(reader.es5(create_isd_p(&aid(NEW + 1), None)), None);
    assert!(reader.testbed.memory() == before && memory.cells() == *START);
}
