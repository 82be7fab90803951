//! Scripts of an SM-DP for the ISD-R: SGP.02 section 4.1.3.1. They establish the keys of the
//! SM-DP's own ISD-P, in one script or a chain of scripts, and must do nothing else: without
//! INSTALL [for personalization], the same STORE DATA would give the SM-DP keys of the ISD-R itself
//! and thereby control of the card.

use rsp::{
    der::{DecodeError, Elements, Reader, Tag},
    ids::Aid,
    ota::script::{Chaining, Command, Script},
    sgp02::es5,
};

/// Bits of P1 of STORE DATA: last block; response data expected; data structured in data groups.
const LAST: u8 = 0x80;
const ANSWERS: u8 = 0x01;
const DATA_GROUPS: u8 = 0x08;

/// Key version numbers of SCP03: SGP.02 section 2.2.
const SCP03_VERSIONS: std::ops::RangeInclusive<u8> = 0x30..=0x3F;

/// State while reading a script: the ISD-P that STORE DATA is for, and the part of a data group
/// read so far.
struct Reading<'a> {
    named: Option<Aid>,
    group: Vec<u8>,
    may: &'a dyn Fn(&Aid) -> bool,
}

/// Checks a script for the ISD-R. It can establish the keys of the ISD-Ps that `may` allows.
/// `before` is the ISD-P named by the earlier scripts of the chain. Returns the ISD-P named at the
/// end, for the next script of the chain.
///
/// # Errors
/// Returns the reason if the script contains anything else.
pub(super) fn read(
    script: &Script,
    before: Option<&Aid>,
    may: &dyn Fn(&Aid) -> bool,
) -> Result<Option<Aid>, &'static str> {
    let goes_on = matches!(script.chaining, Some(Chaining::Following | Chaining::Last));
    let mut reading = Reading { named: before.filter(|_| goes_on).cloned(), group: Vec::new(), may };
    for command in &script.commands {
        match command {
            Command::Apdu(apdu) => reading.command(apdu)?,
            _ => return Err("only C-APDUs can establish keys"),
        }
    }
    if !reading.group.is_empty() {
        return Err("a data group must end in the script in which it begins");
    }
    let is_followed =
        matches!(script.chaining, Some(Chaining::First | Chaining::FirstKept | Chaining::Following));
    Ok(reading.named.filter(|_| is_followed))
}

impl Reading<'_> {
    fn command(&mut self, apdu: &[u8]) -> Result<(), &'static str> {
        let (Some((header, _)), Some(data)) = (apdu.split_first_chunk(), data(apdu)) else {
            return Err("a C-APDU has inconsistent lengths");
        };
        match *header {
            [0x80, 0xE6, 0x20, 0x00] if self.group.is_empty() => {
                let isd_p = named(data).ok_or("INSTALL [for personalization] names no ISD-P")?;
                if !(self.may)(&isd_p) {
                    return Err(
                        "INSTALL [for personalization] must name an ISD-P of the caller that is still empty",
                    );
                }
                self.named = Some(isd_p);
                Ok(())
            }
            [0x80, 0xE2, p1, _] if p1 & !(LAST | ANSWERS) == DATA_GROUPS => self.block(data, p1 & LAST != 0),
            _ => Err("this command is not one that establishes the keys of an ISD-P"),
        }
    }

    fn block(&mut self, data: &[u8], is_last: bool) -> Result<(), &'static str> {
        if !self.named.as_ref().is_some_and(self.may) {
            return Err(
                "STORE DATA must be for an ISD-P of the caller that is still empty, after INSTALL [for personalization]",
            );
        }
        self.group.extend_from_slice(data);
        match split(&self.group) {
            Some((es5::group::CERTIFICATE, certificate, [])) if es5::is_certificate(certificate) => {}
            // The data after this group has no length field. It ends with the last block.
            Some((es5::group::KEY_ESTABLISHMENT, _, _)) if !is_last => return Ok(()),
            Some((es5::group::KEY_ESTABLISHMENT, template, rest)) if is_establishment(template, rest) => {}
            None if !is_last => return Ok(()),
            _ => return Err("only 3A01 with a certificate and 3A02 for an SCP03 key set establish keys"),
        }
        self.group.clear();
        if is_last {
            // After the last block, the card applies further commands to the ISD-R itself.
            self.named = None;
        }
        Ok(())
    }
}

/// Returns the data of a C-APDU with a short or extended length, with or without Le.
fn data(apdu: &[u8]) -> Option<&[u8]> {
    let (length, rest) = match apdu.get(4..)? {
        [0, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [short, rest @ ..] => (usize::from(*short), rest),
        [] => return Some(&[]),
    };
    let (data, le) = rest.split_at_checked(length)?;
    (le.len() <= 2).then_some(data)
}

/// Returns the AID in INSTALL [for personalization]: the third of six fields; the others are empty.
fn named(data: &[u8]) -> Option<Aid> {
    let [0, 0, length, rest @ ..] = data else { return None };
    let (aid, rest) = rest.split_at_checked(usize::from(*length))?;
    (rest == [0, 0, 0]).then(|| Aid(aid.to_vec()))
}

/// Splits off a data group: its identifier, its contents, and the data after it.
fn split(data: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (identifier, rest) = data.split_first_chunk()?;
    let (length, rest) = match rest {
        [0xFF, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        [0xFF, ..] | [] => return None,
        [length, rest @ ..] => (usize::from(*length), rest),
    };
    let (contents, after) = rest.split_at_checked(length)?;
    Some((u16::from_be_bytes(*identifier), contents, after))
}

/// Returns true for the template A6 of an SCP03 key set, followed by an ephemeral key and a
/// signature.
fn is_establishment(template: &[u8], rest: &[u8]) -> bool {
    let read = || {
        let mut elements = Elements::within("KeyAgreement", Tag(0xA6), template)?;
        let [version] = elements.array(Tag(0x83), "one octet")?;
        let mut after = Elements::of("KeyEstablishment", Reader::new(rest))?;
        after.require(Tag(0x7F49))?;
        after.require(Tag(0x5F37))?;
        after.finish();
        Ok::<_, DecodeError>(version)
    };
    read().is_ok_and(|version| SCP03_VERSIONS.contains(&version))
}

#[cfg(test)]
mod tests {
    use rsp::{der::tlv_bytes, sgp02::Octets};

    use super::*;

    const OWN: u16 = 0x11;

    fn certificate() -> Vec<u8> {
        es5::store_certificate(&tlv_bytes(Tag(0x7F21), &[1, 2, 3]))
    }

    fn establishment(version: u8) -> Vec<u8> {
        let agreement =
            es5::KeyAgreement { counter: Octets::default(), ..es5::KeyAgreement::scp80(0x0B, version, 0) };
        agreement.store_data(&[4; 65], &[5; 64])
    }

    fn install(number: u16) -> Vec<u8> {
        es5::install_for_personalization(&Aid::isd_p(number))
    }

    fn named_after(
        apdus: &[Vec<u8>],
        chaining: Option<Chaining>,
        before: Option<u16>,
    ) -> Result<Option<Aid>, &'static str> {
        let script = Script { chaining, ..Script::of_apdus(apdus.to_vec()) };
        read(&script, before.map(Aid::isd_p).as_ref(), &|aid| *aid == Aid::isd_p(OWN))
    }

    #[test]
    fn the_keys_of_an_own_isd_p_can_be_established_in_one_script_or_in_a_chain() {
        use Chaining::{First, FirstKept, Following, Last};
        let own = Ok(Some(Aid::isd_p(OWN)));
        assert_eq!(named_after(&[install(OWN), certificate(), establishment(0x30)], None, None), Ok(None));
        assert_eq!(named_after(&[install(OWN), certificate()], Some(FirstKept), None), own);
        assert_eq!(named_after(&[install(OWN)], Some(First), None), own);
        assert_eq!(named_after(&[certificate()], Some(Following), Some(OWN)), own);
        assert_eq!(named_after(&[establishment(0x31)], Some(Last), Some(OWN)), Ok(None));
        // After the last block, nothing more is for the ISD-P, whatever the chaining of the script.
        assert_eq!(named_after(&[establishment(0x31)], Some(Following), Some(OWN)), Ok(None));
    }

    #[test]
    fn scripts_for_any_other_purpose_are_refused() {
        use Chaining::{First, Following, Last};
        let bad = |apdus: &[Vec<u8>], chaining, before| {
            assert!(named_after(apdus, chaining, before).is_err(), "{apdus:?}");
        };
        // The scripts would establish keys of the ISD-R itself.
        bad(&[certificate()], None, None);
        bad(&[certificate()], Some(First), Some(OWN));
        bad(&[establishment(0x30)], Some(Last), None);
        bad(&[establishment(0x30)], None, Some(OWN));
        bad(&[install(OWN), certificate(), establishment(0x30), certificate()], None, None);
        bad(&[install(OWN), certificate(), establishment(0x01)], None, None);
        // The scripts would establish keys of another SM-DP's ISD-P, the last one only in the
        // middle of the script.
        bad(&[install(0x10)], None, None);
        bad(&[certificate()], Some(Following), Some(0x10));
        bad(&[install(OWN), certificate(), install(0x10), certificate()], Some(First), None);
        // Other functions.
        bad(&[install(OWN), es5::enable_profile(&Aid::isd_p(OWN))], None, None);
        bad(&[install(OWN), es5::get_status(None)], None, None);
        bad(&[es5::delete_profile(&Aid::isd_p(OWN))], None, None);
        bad(&[vec![0x80, 0xE2, 0x88, 0x00, 0x01, 0x00]], None, None);
    }

    #[test]
    fn store_data_must_contain_data_groups_in_plain_text() {
        let with_p1 = |p1: u8| {
            let mut apdu = certificate();
            apdu[2] = p1;
            named_after(&[install(OWN), apdu], Some(Chaining::First), None)
        };
        for p1 in [0x88, 0x89] {
            assert!(with_p1(p1).is_ok(), "{p1:02X}");
        }
        // No structure, or BER-TLV structure; encrypted data; the bits for future use.
        for p1 in [0x80, 0x81, 0x90, 0x98, 0xA8, 0xC8, 0xE8, 0xE9, 0x8A, 0x8C, 0x00, 0xFF] {
            assert!(with_p1(p1).is_err(), "{p1:02X}");
        }
    }

    #[test]
    fn a_data_group_can_span_blocks_and_cannot_hide_another_group() {
        let block = |p1: u8, p2: u8, data: &[u8]| {
            [&[0x80, 0xE2, p1, p2, u8::try_from(data.len()).unwrap()], data].concat()
        };
        let whole = es5::data_group(es5::group::CERTIFICATE, &tlv_bytes(Tag(0x7F21), &[7; 20]));
        let in_blocks = [install(OWN), block(0x08, 0, &whole[..9]), block(0x09, 1, &whole[9..])];
        assert!(named_after(&in_blocks, Some(Chaining::First), None).is_ok());
        let enable = es5::data_group(es5::group::ENABLE, &tlv_bytes(Tag(0x4F), &Aid::isd_p(OWN).0));
        for data in [
            [whole.as_slice(), &enable].concat(),
            [&enable, whole.as_slice()].concat(),
            es5::data_group(es5::group::CERTIFICATE, &[0x30, 0]),
            es5::data_group(es5::group::KEY_ESTABLISHMENT, &[]),
            // The group begins like the allowed one, but is another one.
            vec![0x3A],
            vec![0x3A, 0x01, 0xFF],
        ] {
            assert!(named_after(&[install(OWN), block(0x88, 0, &data)], None, None).is_err(), "{data:02X?}");
            assert!(named_after(&[install(OWN), block(0x80, 0, &data)], None, None).is_err(), "{data:02X?}");
        }
        // The card processes an unfinished group after the last block.
        let early = [install(OWN), block(0x88, 0, &whole[..9]), block(0x88, 0, &whole[9..])];
        assert!(named_after(&early, None, None).is_err());
        // Another script could complete an unfinished group.
        assert!(named_after(&in_blocks[..2], Some(Chaining::First), None).is_err());
        // Wrong lengths.
        for apdu in
            [vec![0x80, 0xE2, 0x88, 0, 9, 1], vec![0x80, 0xE6, 0x20, 0, 4, 0, 0, 1], vec![0x80, 0xE2, 0x88]]
        {
            assert!(named_after(&[apdu], None, None).is_err());
        }
    }
}
