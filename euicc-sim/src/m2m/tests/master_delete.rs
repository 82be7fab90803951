//! ES5.MasterDelete: a token of the owner permits the deletion of a profile regardless of its
//! policy rules.

use rsp::ids::Aid;

use super::oce::cmac;
use super::testbed::{BOOTSTRAP, NEW, NO_DELETE, Testbed, aid, lv, unhex};
use crate::m2m::keys::{Key, KeyKind, KeySet};
use crate::state::m2m::Identity;

const TOKEN_KEY: [u8; 16] = [0x70; 16];

/// A card whose ISD-Ps have an owner with a token key.
fn testbed() -> Testbed {
    let mut testbed = Testbed::new();
    for isd_p in &mut testbed.state_mut().isd_ps {
        assign_owner(isd_p);
    }
    testbed
}

fn assign_owner(isd_p: &mut crate::state::m2m::IsdP) {
    isd_p.identity = Identity { sin: vec![1, 2].into(), sdin: vec![3].into(), provider: vec![4, 5].into() };
    let key = Key { id: 1, kind: KeyKind::Aes, value: TOKEN_KEY.into() };
    isd_p.key_sets = vec![KeySet { version: 0x70, keys: vec![key], counter: 0 }];
}

/// Returns the DELETE command with this signature template and a token made with this key.
fn master_delete(number: u16, template: &str, key: &[u8; 16]) -> String {
    let covered = format!("4F10{}B6{}", aid(number), lv(template));
    let length = u8::try_from(covered.len() / 2).unwrap();
    let token = cmac(key, &[&[0x00, 0x40, length][..], &unhex(&covered)]);
    format!("80E40040{}00", lv(&format!("{covered}9E10{}", hex::encode_upper(token))))
}

const OWNER: &str = "420201024501035F200204059301AA";

#[track_caller]
fn assert_refused(testbed: &mut Testbed, apdu: &str, status: &str) {
    let before = testbed.memory();
    testbed.expect(apdu, status);
    assert!(testbed.memory() == before);
}

// req: SGP.02-4.1.1.6-Pol1
#[test]
fn a_token_permits_deletion_against_pol1() {
    let mut testbed = testbed();
    testbed.expect(&master_delete(NO_DELETE, OWNER, &TOKEN_KEY), "009000");
    assert_eq!(testbed.life_cycle(NO_DELETE), None);
    assert_refused(&mut testbed, &master_delete(NO_DELETE, OWNER, &TOKEN_KEY), "6A88");
}

// req: SGP.02-4.1.1.6-Token
#[test]
fn a_token_must_be_made_by_the_owner_for_this_profile() {
    let mut testbed = testbed();
    let right = master_delete(NO_DELETE, OWNER, &TOKEN_KEY);
    assert_refused(&mut testbed, &master_delete(NO_DELETE, OWNER, &[0x71; 16]), "6982");
    // A token for another profile, and one with another owner in the template.
    assert_refused(&mut testbed, &right.replacen(&aid(NO_DELETE), &aid(super::testbed::NO_RULES), 1), "6982");
    for owner in
        ["420201034501035F200204059301AA", "420201024501045F200204059301AA", "420201024501035F200204069301AA"]
    {
        assert_refused(&mut testbed, &master_delete(NO_DELETE, owner, &TOKEN_KEY), "6982");
    }
    // Every octet of the command is altered.
    let octets = unhex(&right);
    for at in 5..octets.len() - 1 {
        let mut altered = octets.clone();
        altered[at] ^= 1;
        let before = testbed.memory();
        let answer = testbed.es5(&hex::encode(altered));
        assert!(matches!(answer.as_str(), "6982" | "6A80" | "6A88"), "octet {at}: {answer}");
        assert!(testbed.memory() == before);
    }
    // Missing elements, an empty token number, and additional or truncated elements.
    for wrong in [
        "4501035F200204059301AA",
        "420201025F200204059301AA",
        "420201024501039301AA",
        "420201024501035F20020405",
        "420201024501035F200204059300",
    ] {
        assert_refused(&mut testbed, &master_delete(NO_DELETE, wrong, &TOKEN_KEY), "6A80");
    }
    let data = &right[10..right.len() - 2];
    assert_refused(&mut testbed, &format!("80E40040{}", lv(&format!("{data}9E00"))), "6A80");
    assert_refused(&mut testbed, &format!("80E40040{}", lv(&data[..data.len() - 36])), "6A80");
    assert_refused(
        &mut testbed,
        &format!("80E40040{}", lv(&data.replacen("9E10", "9E0F", 1)[..data.len() - 2])),
        "6A80",
    );
}

// req: SGP.02-4.1.1.6-State
#[test]
fn a_token_does_not_override_the_state_checks() {
    let mut testbed = testbed();
    // The fallback profile, which is also enabled; an ISD-P without a profile; an ISD-P without a
    // key for tokens.
    assert_refused(&mut testbed, &master_delete(BOOTSTRAP, OWNER, &TOKEN_KEY), "6985");
    assert_eq!(testbed.create(NEW, None), "009000");
    assert_refused(&mut testbed, &master_delete(NEW, OWNER, &TOKEN_KEY), "6985");
    let isd_p = Aid::isd_p(NO_DELETE);
    testbed.state_mut().isd_p_mut(&isd_p).unwrap().key_sets.clear();
    assert_refused(&mut testbed, &master_delete(NO_DELETE, OWNER, &TOKEN_KEY), "6A88");
}

// req: SGP.02-4.1.1.6-Once
#[test]
fn a_token_is_valid_only_once() {
    let mut testbed = testbed();
    let profile =
        testbed.card.persistent.profiles.iter().find(|each| each.isd_p == Aid::isd_p(NO_DELETE)).cloned();
    let token = master_delete(NO_DELETE, OWNER, &TOKEN_KEY);
    testbed.expect(&token, "009000");
    // The same profile is installed again in the same ISD-P with the same keys.
    assert_eq!(testbed.create(NO_DELETE, None), "009000");
    testbed.card.persistent.profiles.push(profile.unwrap());
    assign_owner(testbed.state_mut().isd_ps.last_mut().unwrap());
    assert_refused(&mut testbed, &token, "6982");
    // A token with another number is accepted.
    testbed.expect(&master_delete(NO_DELETE, &OWNER.replace("9301AA", "9301AB"), &TOKEN_KEY), "009000");
}
