//! AUTHENTICATE: TS 31.102 section 7.1, TS 33.102 section 6.3 and annex C.

pub(crate) mod algorithm;

use crypto::aka::{Algorithm, Amf, Autn, Sqn};
use crypto::usim_test::UsimTest;
use profile::FileIndex;
use profile::element::AlgorithmId;
use profile::facts::{Aka, Counts, CountsOf};

use super::StatusWord;
use super::apdu::Command;
use super::context::Context;
use super::iso7816::pin::may_authenticate;

const GSM_CONTEXT: u8 = 0x80;
const CONTEXT_3G: u8 = 0x81;

/// Tags of the answers in the 3G context.
const SUCCESSFUL: u8 = 0xDB;
const SYNCHRONISATION_FAILURE: u8 = 0xDC;

/// Services of EF.UST.
const GSM_ACCESS: usize = 27;
const GSM_SECURITY_CONTEXT: usize = 38;

/// Bits of sqnOptions that enable the checks of annex C.2 in addition to the check that the
/// sequence number is higher than the last accepted one with the same index. The TS.48
/// documentation says that 02, the default, is the protection against wrap around. The meaning of
/// 01, the age limit, is an assumption.
const CHECK_AGE: u8 = 0x01;
const CHECK_DELTA: u8 = 0x02;

/// AUTHENTICATE on the application of the channel: TS 31.102 section 7.1 on a USIM, TS 31.103
/// section 7.1 on an ISIM.
pub(super) fn authenticate(context: &mut Context<'_>, command: &Command<'_>) -> Result<Vec<u8>, StatusWord> {
    if command.p1 != 0 {
        return Err(StatusWord::INCORRECT_P1_P2);
    }
    let adf = current_application(context)?;
    if !may_authenticate(context, adf)? {
        return Err(StatusWord::SECURITY_STATUS_NOT_SATISFIED);
    }
    let usim = context.profile()?.usim_in(adf);
    let has_service = |service| usim.is_some_and(|usim| usim.has_service(service));
    let (is_usim, with_kc, gsm) =
        (usim.is_some(), has_service(GSM_ACCESS), has_service(GSM_SECURITY_CONTEXT));
    match (command.p2, command.data) {
        (GSM_CONTEXT, [16, rand @ ..]) if is_usim && gsm => {
            let rand = rand.try_into().map_err(|_| StatusWord::WRONG_LENGTH)?;
            in_gsm_context(context, adf, &rand)
        }
        (CONTEXT_3G, [16, rest @ ..]) => match rest.split_first_chunk() {
            Some((rand, [16, autn @ ..])) => {
                let autn = autn.try_into().map_err(|_| StatusWord::WRONG_LENGTH)?;
                in_3g_context(context, adf, rand, &Autn::from_bytes(autn), with_kc)
            }
            _ => Err(StatusWord::WRONG_LENGTH),
        },
        (GSM_CONTEXT, _) if is_usim && gsm => Err(StatusWord::WRONG_LENGTH),
        (CONTEXT_3G, _) => Err(StatusWord::WRONG_LENGTH),
        (GSM_CONTEXT, _) if is_usim => Err(StatusWord::AUTHENTICATION_ERROR_CONTEXT_NOT_SUPPORTED),
        // There are no keys for VGCS/VBS (HTTP digest on an ISIM), GBA, MBMS and local key
        // establishment.
        (0x82 | 0x84..=0x86, _) => Err(StatusWord::AUTHENTICATION_ERROR_CONTEXT_NOT_SUPPORTED),
        _ => Err(StatusWord::INCORRECT_P1_P2),
    }
}

/// The application of the channel, if the current directory is its ADF or below it.
pub(super) fn current_application(context: &Context<'_>) -> Result<FileIndex, StatusWord> {
    let place = context.place()?;
    let adf = place.adf.ok_or(StatusWord::CONDITIONS_NOT_SATISFIED)?;
    let mut here = context.profile()?.files.ancestors(place.directory);
    here.find(|directory| *directory == adf).ok_or(StatusWord::CONDITIONS_NOT_SATISFIED)
}

/// Returns SRES and Kc.
fn in_gsm_context(context: &mut Context<'_>, adf: FileIndex, rand: &[u8; 16]) -> Result<Vec<u8>, StatusWord> {
    let algorithm = begin(context, adf)?;
    let triplet = algorithm.triplet(rand);
    answer(Vec::new(), &[&triplet.sres, triplet.kc.expose()])
}

/// Returns RES, CK, IK, and Kc if service 27 is available; or AUTS if the sequence number is not
/// fresh.
fn in_3g_context(
    context: &mut Context<'_>,
    adf: FileIndex,
    rand: &[u8; 16],
    autn: &Autn,
    with_kc: bool,
) -> Result<Vec<u8>, StatusWord> {
    let algorithm = begin(context, adf)?;
    let checked =
        // req: TS.33.102-MacA
        algorithm.check_autn(rand, autn).map_err(|_| StatusWord::AUTHENTICATION_ERROR_INCORRECT_MAC)?;
    let (aka, counts) = parameters(context, adf).ok_or(StatusWord::TECHNICAL_PROBLEM)?;
    // req: TS.33.102-Sqn
    if !is_fresh(aka, &counts.sqn, checked.sqn, checked.amf) {
        let auts = algorithm.make_auts(rand, highest(&counts.sqn));
        return answer(vec![SYNCHRONISATION_FAILURE], &[&auts.to_bytes()]);
    }
    let place = counts_mut(context, adf)?.sqn.get_mut(usize::from(checked.sqn.ind()));
    *place.ok_or(StatusWord::TECHNICAL_PROBLEM)? = checked.sqn.seq();
    let keys = &checked.keys;
    let kc = crypto::aka::kc(&keys.ck, &keys.ik);
    let mut parts: Vec<&[u8]> = vec![keys.res.as_bytes(), keys.ck.expose(), keys.ik.expose()];
    if with_kc {
        parts.push(kc.expose());
    }
    answer(vec![SUCCESSFUL], &parts)
}

/// Appends the length and the octets of each part.
fn answer(mut answer: Vec<u8>, parts: &[&[u8]]) -> Result<Vec<u8>, StatusWord> {
    for part in parts {
        answer.push(u8::try_from(part.len()).map_err(|_| StatusWord::TECHNICAL_PROBLEM)?);
        answer.extend_from_slice(part);
    }
    Ok(answer)
}

/// Returns the algorithm of the application with its keys, and counts the authentication regardless
/// of its result.
fn begin(context: &mut Context<'_>, adf: FileIndex) -> Result<Algorithm, StatusWord> {
    let unsupported = StatusWord::AUTHENTICATION_ERROR_CONTEXT_NOT_SUPPORTED;
    let (aka, counts) = parameters(context, adf).ok_or(unsupported)?;
    let algorithm = algorithm::algorithm(aka).ok_or(unsupported)?;
    if let Some(most) = aka.authentication_counter_max
        && aka.algorithm != AlgorithmId::USIM_TEST_ALGORITHM
    {
        if counts.authentications >= most {
            return Err(StatusWord::CONDITIONS_NOT_SATISFIED);
        }
        counts_mut(context, adf)?.authentications += 1;
    }
    Ok(algorithm)
}

/// The parameters of an application and its counters.
fn parameters<'a>(context: &'a Context<'_>, adf: FileIndex) -> Option<(&'a Aka, &'a Counts)> {
    let all = &context.profile().ok()?.facts.aka;
    let of = |adf| all.iter().find(|aka| aka.adf == adf);
    let own = of(adf)?;
    match &own.counts {
        CountsOf::Own(counts) => Some((own, counts)),
        CountsOf::SharedWith(other) => match &of(*other)?.counts {
            CountsOf::Own(counts) => Some((own, counts)),
            CountsOf::SharedWith(_) => None,
        },
    }
}

fn counts_mut<'a>(context: &'a mut Context<'_>, adf: FileIndex) -> Result<&'a mut Counts, StatusWord> {
    let all = &mut context.profile_mut()?.facts.aka;
    let owner = match all.iter().find(|aka| aka.adf == adf).map(|aka| &aka.counts) {
        Some(CountsOf::SharedWith(other)) => *other,
        _ => adf,
    };
    match all.iter_mut().find(|aka| aka.adf == owner).map(|aka| &mut aka.counts) {
        Some(CountsOf::Own(counts)) => Ok(counts),
        _ => Err(StatusWord::TECHNICAL_PROBLEM),
    }
}

/// True if the sequence number passes the checks of TS 33.102 annex C.2: it is at most delta higher
/// than the highest accepted one, not older than the age limit, and higher than the last accepted
/// one with the same index.
///
/// The test algorithm has no delta and no age limit. It reserves an AMF value with which a tester
/// requests resynchronisation.
fn is_fresh(aka: &Aka, numbers: &[u64], sqn: Sqn, amf: Amf) -> bool {
    let last = numbers.get(usize::from(sqn.ind())).copied().unwrap_or(u64::MAX);
    let is_new = sqn.seq() > last;
    if aka.algorithm == AlgorithmId::USIM_TEST_ALGORITHM {
        return is_new && amf != UsimTest::AMF_RESYNCH;
    }
    let seq_ms = highest(numbers).seq();
    let too_far = aka.sqn_options & CHECK_DELTA != 0 && sqn.seq().saturating_sub(seq_ms) > aka.sqn_delta;
    let too_old = aka.sqn_options & CHECK_AGE != 0 && seq_ms.saturating_sub(sqn.seq()) >= aka.sqn_age_limit;
    is_new && !too_far && !too_old
}

/// SQN_MS: the highest sequence number accepted so far.
fn highest(numbers: &[u64]) -> Sqn {
    let numbers = (0u8..=31).zip(numbers);
    numbers.filter_map(|(ind, seq)| Sqn::from_seq_ind(*seq, ind)).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIGHEST_SEQ: u64 = (1 << 43) - 1;

    /// Returns an array with the given numbers at the indices 0, 1, 2 and 31, and 0 elsewhere.
    fn sqn([first, second, third, last]: [u64; 4]) -> Vec<u64> {
        let mut sqn = vec![0; 32];
        sqn[..3].copy_from_slice(&[first, second, third]);
        sqn[31] = last;
        sqn
    }

    /// Milenage parameters with these sqnOptions.
    fn aka(options: u8) -> Aka {
        Aka {
            adf: FileIndex::MF,
            mapped_from: None,
            algorithm: AlgorithmId::MILENAGE,
            options: 0x01,
            key: [0; 16].into(),
            opc: [0; 16].into(),
            rotation_constants: [0; 5].into(),
            xoring_constants: [0; 80].into(),
            authentication_counter_max: None,
            keccak_iterations: 1,
            sqn_options: options,
            sqn_delta: 1000,
            sqn_age_limit: 100,
            counts: CountsOf::SharedWith(FileIndex::MF),
        }
    }

    /// Columns: case; sqnOptions; SEQ of the indices 0, 1, 2 and 31; received SEQ and IND; expected
    /// result.
    #[test]
    fn freshness_of_sequence_numbers_follows_annex_c() {
        const NONE: u8 = 0;
        const BOTH: u8 = CHECK_AGE | CHECK_DELTA;
        for (case, options, numbers, (seq, ind), expected) in [
            ("the first number", BOTH, [0, 0, 0, 0], (1, 0), true),
            ("zero is never fresh", BOTH, [0, 0, 0, 0], (0, 0), false),
            ("the same number", BOTH, [50, 0, 0, 0], (50, 0), false),
            ("lower, same index", BOTH, [50, 0, 0, 0], (49, 0), false),
            ("one higher, same index", BOTH, [50, 0, 0, 0], (51, 0), true),
            ("the same SEQ, another index", BOTH, [50, 0, 0, 0], (50, 1), true),
            ("lower, another index", BOTH, [50, 0, 0, 0], (1, 1), true),
            ("equal to the last of the other index", BOTH, [50, 20, 0, 0], (20, 1), false),
            ("the last index", BOTH, [50, 0, 0, 49], (50, 31), true),
            ("the last index, the same number", BOTH, [50, 0, 0, 50], (50, 31), false),
            ("IND wraps, SEQ increases", BOTH, [50, 0, 0, 50], (51, 0), true),
            ("IND wraps, SEQ does not increase", BOTH, [50, 0, 0, 50], (50, 0), false),
            ("ahead by delta", BOTH, [50, 0, 0, 0], (1050, 0), true),
            ("ahead by delta and one", BOTH, [50, 0, 0, 0], (1051, 0), false),
            ("delta counts from the highest of all indices", BOTH, [0, 0, 50, 0], (1050, 0), true),
            ("delta and one from the highest of all indices", BOTH, [0, 0, 50, 0], (1051, 0), false),
            ("delta is not checked", CHECK_AGE, [50, 0, 0, 0], (1051, 0), true),
            ("just young enough", BOTH, [500, 0, 0, 0], (401, 1), true),
            ("as old as the limit", BOTH, [500, 0, 0, 0], (400, 1), false),
            ("older than the limit", BOTH, [500, 0, 0, 0], (1, 1), false),
            ("age is not checked", CHECK_DELTA, [500, 0, 0, 0], (1, 1), true),
            ("only the order is checked", NONE, [500, 0, 0, 0], (HIGHEST_SEQ, 1), true),
            ("the order is always checked", NONE, [500, 0, 0, 0], (500, 0), false),
            ("the highest possible SEQ", BOTH, [HIGHEST_SEQ - 1, 0, 0, 0], (HIGHEST_SEQ, 0), true),
            (
                "the same number after the highest possible SEQ",
                BOTH,
                [HIGHEST_SEQ, 0, 0, 0],
                (HIGHEST_SEQ, 0),
                false,
            ),
            ("a restart after the highest possible SEQ", BOTH, [HIGHEST_SEQ, 0, 0, 0], (1, 1), false),
        ] {
            let received = Sqn::from_seq_ind(seq, ind).unwrap();
            // AMF with and without the separation bit, and the resynchronisation request of a test
            // USIM: none changes the result here.
            for amf in [[0x80, 0], [0, 0], [0xFF, 0xFF]] {
                let fresh = is_fresh(&aka(options), &sqn(numbers), received, Amf::from_bytes(amf));
                assert_eq!(fresh, expected, "{case}");
            }
        }
    }

    #[test]
    fn the_highest_number_is_taken_from_the_whole_array() {
        for (numbers, expected) in [
            // SQN_MS is 31 for cards that have accepted no number yet. The tests of libosmocore
            // contain an AUTS with this value.
            ([0, 0, 0, 0], (0, 31)),
            ([7, 0, 0, 0], (7, 0)),
            ([7, 9, 8, 0], (9, 1)),
            ([7, 7, 7, 7], (7, 31)),
            ([HIGHEST_SEQ; 4], (HIGHEST_SEQ, 31)),
        ] {
            let (seq, ind) = expected;
            assert_eq!(highest(&sqn(numbers)), Sqn::from_seq_ind(seq, ind).unwrap(), "{numbers:?}");
        }
    }

    #[test]
    fn a_tester_can_request_resynchronisation() {
        let mut aka = aka(CHECK_AGE | CHECK_DELTA);
        aka.algorithm = AlgorithmId::USIM_TEST_ALGORITHM;
        for (seq, ind, amf, expected) in [
            (501, 0, [0x80, 0], true),
            (501, 0, [0xFF, 0xFF], false),
            (501, 0, [0xFF, 0xFE], true),
            (500, 0, [0x80, 0], false),
            // The test algorithm has no delta and no age limit.
            (HIGHEST_SEQ, 0, [0x80, 0], true),
            (1, 1, [0x80, 0], true),
        ] {
            let received = Sqn::from_seq_ind(seq, ind).unwrap();
            let fresh = is_fresh(&aka, &sqn([500, 0, 0, 0]), received, Amf::from_bytes(amf));
            assert_eq!(fresh, expected, "{seq} {ind} {amf:02X?}");
        }
    }
}
