//! Elements of ES10 whose type is not that of SGP.22 v2, or is defined elsewhere: the content of
//! simaResponse (TCA), the carrier privileges of Android (BF76), and the encodings of
//! ProfileInfoListResponse that some cards use.

use profile::EuiccResponse;
use rsp::der::{Asn1, Shape, Shown, Tag, tlv};
use rsp::sgp22::es10c::{ProfileInfo, ProfileInfoListError, ProfileInfoListResponse};

/// Decodes the single TLV in `octets`, which has the tag `tag` and the structure `shape`.
pub(super) fn show(shape: Shape, tag: Tag, octets: &[u8]) -> Shown {
    let contents = tlv::split(octets).map(|(_, contents)| contents);
    match contents.and_then(tlv::split) {
        // A list of profiles without the context tag of the alternative.
        Some((Tag::SEQUENCE, _)) if tag == ProfileInfoListResponse::TAG => {
            let list = Shape::SequenceOf(ProfileInfo::TAG, ProfileInfo::shape);
            let shown = list.show(Tag::SEQUENCE, contents.unwrap_or_default());
            refined(tag, Shown::Fields(vec![("profileInfoListOk".to_owned(), shown)]))
        }
        _ => refined(tag, shape.show(tag, octets)),
    }
}

fn refined(tag: Tag, shown: Shown) -> Shown {
    match shown {
        Shown::Fields(fields) => {
            let refine = |(name, shown)| element(tag, name, refined(tag, shown));
            Shown::Fields(fields.into_iter().map(refine).collect())
        }
        Shown::List(elements) => Shown::List(elements.into_iter().map(|each| refined(tag, each)).collect()),
        other => other,
    }
}

fn element(tag: Tag, name: String, shown: Shown) -> (String, Shown) {
    let is_profile_list = tag == ProfileInfoListResponse::TAG;
    match (name.as_str(), shown) {
        ("simaResponse", Shown::Octets(octets)) => (name, sima_response(octets)),
        // Some cards send the simaResponse of ErrorResult with the tag of an OCTET STRING.
        ("[04]", Shown::Octets(octets)) if EuiccResponse::from_der(&octets).is_ok() => {
            ("simaResponse".to_owned(), sima_response(octets))
        }
        ("tagList", Shown::Octets(octets)) if is_profile_list => (name, tag_list(&octets)),
        ("[BF76]", shown) => ("carrierPrivilegeRules".to_owned(), rules(shown)),
        // The alternatives of the CHOICE have context tags. Some cards send universal tags.
        ("[02]", Shown::Octets(octets)) if is_profile_list => {
            let code = octets.iter().fold(0i64, |value, octet| value << 8 | i64::from(*octet));
            ("profileInfoListError".to_owned(), Shown::Text(ProfileInfoListError(code).to_string()))
        }
        (_, shown) => (name, shown),
    }
}

/// EUICCResponse, or several of them: TCA profile package, 8.11.
fn sima_response(octets: Vec<u8>) -> Shown {
    let show = |octets: &[u8]| EuiccResponse::shape().show(EuiccResponse::TAG, octets);
    match tlv::each(&octets) {
        Ok(responses) if !responses.is_empty() && responses.iter().all(|each| each.starts_with(&[0x30])) => {
            match responses.as_slice() {
                [only] => show(only),
                several => Shown::List(several.iter().map(|each| show(each)).collect()),
            }
        }
        _ => Shown::Octets(octets),
    }
}

/// The requested elements of ProfileInfo by name: SGP.22 section 5.7.15.
fn tag_list(octets: &[u8]) -> Shown {
    let Shape::Sequence(fields) = ProfileInfo::shape() else { return Shown::Octets(octets.to_vec()) };
    let mut names = Vec::new();
    let mut left = octets;
    while let [first, rest @ ..] = left {
        // ITU-T X.690 section 8.1.2: a tag of more than one octet.
        let more = rest.iter().position(|octet| octet & 0x80 == 0).map_or(rest.len(), |last| last + 1);
        let length = if first & 0x1F == 0x1F { 1 + more } else { 1 };
        let (tag, others) = left.split_at_checked(length).unwrap_or((left, &[]));
        left = others;
        let tag = hex::encode_upper(tag);
        let field = fields.iter().find(|field| field.tag.to_string() == tag);
        names.push(match field {
            Some(field) => format!("{tag} {}", field.standard_name()),
            None if tag == CARRIER_PRIVILEGE_RULES => format!("{tag} carrierPrivilegeRules"),
            None => tag,
        });
    }
    Shown::Text(names.join(", "))
}

/// The rules of ProfileInfo that Android reads.
const CARRIER_PRIVILEGE_RULES: &str = "BF76";

/// The access rules of Android ("UICC carrier privileges"), REF-AR-DO of GlobalPlatform Secure
/// Element Access Control.
fn rules(shown: Shown) -> Shown {
    let Shown::Fields(elements) = shown else { return shown };
    let named = elements.into_iter().map(|(name, shown)| match (name.as_str(), shown) {
        ("[E2]", shown) => ("refArDo".to_owned(), rules(shown)),
        ("[E1]", shown) => ("refDo".to_owned(), rules(shown)),
        ("[C1]", shown) => ("deviceAppIdRefDo".to_owned(), shown),
        ("[CA]", Shown::Octets(package)) => {
            ("pkgRefDo".to_owned(), Shown::Text(String::from_utf8_lossy(&package).into_owned()))
        }
        ("[E3]", shown) => ("arDo".to_owned(), rules(shown)),
        ("[DB]", shown) => ("permArDo".to_owned(), shown),
        (_, shown) => (name, shown),
    });
    Shown::Fields(named.collect())
}
