//! AUTHENTICATE: TS 31.102 section 7.1, TS 33.102 section 6.3 and annex C.

use std::num::NonZeroU8;

use crypto::aka::{Algorithm, Autn, Auts, Sqn};
use crypto::milenage::{Constants, Milenage};
use crypto::tuak::{ResLength, Tuak, TuakKey};
use crypto::usim_test::UsimTest;
use profile::FileIndex;
use profile::element::AlgorithmId;
use profile::facts::Aka;

use super::apdu::Command;
use super::context::Context;
use super::iso7816::may_authenticate;
use super::status_word::StatusWord;

const GSM_CONTEXT: u8 = 0x80;
const CONTEXT_3G: u8 = 0x81;

/// Tags of the answers in the 3G context.
const SUCCESSFUL: u8 = 0xDB;
const SYNCHRONISATION_FAILURE: u8 = 0xDC;

/// Bits of sqnOptions: which checks of annex C.2 apply besides "greater than the last of this index".
const CHECK_AGE: u8 = 0x01;
const CHECK_DELTA: u8 = 0x02;

/// AUTHENTICATE on the application of the channel.
pub(super) fn authenticate(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if command.p1 != 0 {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    let adf = context.place()?.adf.ok_or(StatusWord::CONDITIONS_NOT_SATISFIED)?;
    if !may_authenticate(context, adf)? {
        return Err(StatusWord::SECURITY_STATUS_NOT_SATISFIED);
    }
    match (command.p2, command.data) {
        (GSM_CONTEXT, [16, rand @ ..]) => {
            let rand = rand.try_into().map_err(|_| StatusWord::WRONG_LENGTH)?;
            in_gsm_context(context, adf, &rand)
        }
        (CONTEXT_3G, [16, rest @ ..]) => match rest.split_first_chunk::<16>() {
            Some((rand, [16, autn @ ..])) => {
                let autn = autn.try_into().map_err(|_| StatusWord::WRONG_LENGTH)?;
                in_3g_context(context, adf, rand, &Autn::from_bytes(autn))
            }
            _ => Err(StatusWord::WRONG_LENGTH),
        },
        (GSM_CONTEXT | CONTEXT_3G, _) => Err(StatusWord::WRONG_LENGTH),
        // VGCS, GBA, MBMS and the others have no keys here.
        (0x82 | 0x84..=0x86, _) => Err(StatusWord::AUTHENTICATION_ERROR_CONTEXT_NOT_SUPPORTED),
        _ => Err(StatusWord::INCORRECT_P1_P2),
    }
}

/// Section 7.1.2.2: SRES and Kc.
fn in_gsm_context(context: &Context<'_>, adf: FileIndex, rand: &[u8; 16]) -> Result<Vec<u8>, StatusWord> {
    let (_, algorithm) = parameters(context, adf)?;
    let triplet = algorithm.triplet(rand);
    let mut answer = vec![4];
    answer.extend(triplet.sres);
    answer.push(8);
    answer.extend(triplet.kc.expose());
    Ok(answer)
}

/// Section 7.1.2.1: RES, CK, IK and Kc; or AUTS when the network's sequence number is not fresh.
fn in_3g_context(
    context: &mut Context<'_>,
    adf: FileIndex,
    rand: &[u8; 16],
    autn: &Autn,
) -> Result<Vec<u8>, StatusWord> {
    let (aka, algorithm) = parameters(context, adf)?;
    let checked =
        algorithm.check_autn(rand, autn).map_err(|_| StatusWord::AUTHENTICATION_ERROR_INCORRECT_MAC)?;
    if !is_fresh(aka, checked.sqn) {
        let auts = algorithm.make_auts(rand, highest(aka));
        return Ok(synchronisation_failure(auts));
    }
    accept(context, adf, checked.sqn)?;
    let keys = &checked.keys;
    let kc = crypto::aka::kc(&keys.ck, &keys.ik);
    let mut answer = vec![SUCCESSFUL];
    for part in [keys.res.as_bytes(), keys.ck.expose(), keys.ik.expose(), kc.expose()] {
        answer.push(u8::try_from(part.len()).map_err(|_| StatusWord::TECHNICAL_PROBLEM)?);
        answer.extend_from_slice(part);
    }
    Ok(answer)
}

fn synchronisation_failure(auts: Auts) -> Vec<u8> {
    let mut answer = vec![SYNCHRONISATION_FAILURE, 14];
    answer.extend(auts.to_bytes());
    answer
}

/// Whether the card has the algorithm that these parameters are for.
pub(crate) fn supports(aka: &Aka) -> bool {
    algorithm(aka).is_some()
}

/// The profile's own keys for an application.
fn parameters<'a>(context: &'a Context<'_>, adf: FileIndex) -> Result<(&'a Aka, Algorithm), StatusWord> {
    let unsupported = StatusWord::AUTHENTICATION_ERROR_CONTEXT_NOT_SUPPORTED;
    let aka = context.profile()?.facts.aka.iter().find(|aka| aka.adf == adf).ok_or(unsupported)?;
    Ok((aka, algorithm(aka).ok_or(unsupported)?))
}

fn algorithm(aka: &Aka) -> Option<Algorithm> {
    match aka.algorithm {
        AlgorithmId::MILENAGE => {
            let k = aka.key.expose().try_into().ok()?;
            let opc = aka.opc.expose().try_into().ok()?;
            let r = aka.rotation_constants.0.as_slice().try_into().ok()?;
            let (constants, []) = aka.xoring_constants.as_chunks::<16>() else { return None };
            let c = constants.try_into().ok()?;
            Some(Algorithm::Milenage(Milenage::with_constants(k, opc, Constants { r, c })))
        }
        AlgorithmId::TUAK => {
            let k = TuakKey::from_bytes(aka.key.expose())?;
            let topc = aka.opc.expose().try_into().ok()?;
            let res_length = ResLength::from_octets(aka.res_length()?)?;
            let iterations = NonZeroU8::new(aka.keccak_iterations)?;
            let tuak = Tuak::new(k, topc).with_res_length(res_length).with_iterations(iterations);
            Some(Algorithm::Tuak(tuak))
        }
        AlgorithmId::USIM_TEST_ALGORITHM => {
            let algorithm = UsimTest::new(aka.key.expose().try_into().ok()?);
            algorithm.with_res_length(aka.res_length()?).ok().map(Algorithm::UsimTest)
        }
        _ => None,
    }
}

/// TS 33.102 annex C.2.2 and C.2.1.
fn is_fresh(aka: &Aka, sqn: Sqn) -> bool {
    let highest = highest(aka).seq();
    let last = aka.sqn.get(usize::from(sqn.ind())).copied().unwrap_or(u64::MAX);
    let too_far = aka.sqn_options & CHECK_DELTA != 0 && sqn.seq().saturating_sub(highest) > aka.sqn_delta;
    let too_old = aka.sqn_options & CHECK_AGE != 0 && highest.saturating_sub(sqn.seq()) > aka.sqn_age_limit;
    sqn.seq() > last && !too_far && !too_old
}

/// SQN_MS: the highest sequence number accepted so far.
fn highest(aka: &Aka) -> Sqn {
    let numbers = (0u8..=31).zip(&aka.sqn);
    numbers.filter_map(|(ind, seq)| Sqn::from_seq_ind(*seq, ind)).max().unwrap_or_default()
}

fn accept(context: &mut Context<'_>, adf: FileIndex, sqn: Sqn) -> Result<(), StatusWord> {
    let mut aka = context.profile_mut()?.facts.aka.iter_mut().filter(|aka| aka.adf == adf);
    let place = aka.next().and_then(|aka| aka.sqn.get_mut(usize::from(sqn.ind())));
    *place.ok_or(StatusWord::TECHNICAL_PROBLEM)? = sqn.seq();
    Ok(())
}
