//! Bound Profile Packages. The first octet selects the layer: the outer structure, the protected
//! segments with any content, or the profile package inside.

use crypto::bsp::{BppReceiver, BppSender, SessionKeys};
use profile::generic::{Subscription, generic};
use profile::{Capabilities, Decoder, InstalledProfile, Package, check::check_octets};
use rsp::der::Asn1;
use rsp::finding::{self, FindingKind};
use rsp::sgp22::es8plus::{BoundProfilePackage, store_data_segments};

pub(crate) fn run(octets: &[u8]) -> bool {
    match octets {
        [b'o', package @ ..] => outer(package),
        [b's', tag, data @ ..] => segments(*tag, data),
        [b'p', package @ ..] => inner(package),
        _ => false,
    }
}

fn outer(package: &[u8]) -> bool {
    let (segments, findings) = finding::collect(|| store_data_segments(package));
    let has_unknown = findings.iter().any(|finding| finding.kind == FindingKind::UnknownElement);
    if let Ok(segments) = &segments
        && !has_unknown
    {
        assert_eq!(segments.concat(), package, "the segments are the whole package");
    }
    let decoded = BoundProfilePackage::from_der(package);
    if let Ok(decoded) = &decoded {
        assert_eq!(BoundProfilePackage::from_der(&decoded.to_der()).as_ref(), Ok(decoded));
    }
    segments.is_ok() && decoded.is_ok()
}

fn keys() -> SessionKeys {
    let mut octet = 0u8;
    SessionKeys::generate(&mut |octets| {
        for each in octets {
            octet = octet.wrapping_add(1);
            *each = octet;
        }
    })
}

/// Encrypts the data, decrypts them, and tries to decrypt them with one wrong octet.
fn segments(tag: u8, data: &[u8]) -> bool {
    // The two tags of encrypted segments.
    let tag = 0x86 | tag & 1;
    let sealed = BppSender::new(keys()).segments(tag, data);
    let mut receiver = BppReceiver::new(keys());
    let opened: Result<Vec<_>, _> = sealed.iter().map(|segment| receiver.decrypt(segment)).collect();
    assert_eq!(opened.map(|pieces| pieces.concat()), Ok(data.to_vec()));
    if let (Some(first), Some(at)) = (sealed.first(), data.first()) {
        let mut altered = first.clone();
        let at = usize::from(*at) % altered.len();
        if let Some(octet) = altered.get_mut(at) {
            *octet ^= 1;
        }
        assert!(BppReceiver::new(keys()).decrypt(&altered).is_err(), "an altered segment is accepted");
    }
    // The data as segments of another sender.
    let _ = BppReceiver::new(keys()).decrypt(data);
    let _ = BppReceiver::new(keys()).verify_mac_only(data);
    true
}

fn inner(octets: &[u8]) -> bool {
    let _ = check_octets(octets);
    let (package, deviations) = rsp::finding::collect(|| Package::decode(octets));
    let mut decoder = Decoder::new();
    let piecewise = octets.chunks(7).try_for_each(|piece| {
        decoder.feed(piece)?;
        while decoder.next_element()?.is_some() {}
        Ok(())
    });
    let piecewise: Result<(), rsp::der::DecodeError> = piecewise.and_then(|()| decoder.finish());
    assert_eq!(package.is_ok(), piecewise.is_ok(), "pieces are decoded like the whole package");
    let Ok(package) = package else { return false };
    if deviations.is_empty() {
        assert_eq!(package.encode(), octets, "a decoded package is encoded to the same octets");
    }
    InstalledProfile::of(&package, &Capabilities::default()).is_ok()
}

pub(crate) fn samples() -> Vec<Vec<u8>> {
    let package = generic(&Subscription::default()).encode();
    vec![
        [b"p", package.as_slice()].concat(),
        [&b"s\x86"[..], &[0x5A; 40]].concat(),
        [&b"s\x87"[..], &[0x11; 1020]].concat(),
        [&b"o"[..], &outer_sample()].concat(),
    ]
}

/// A package with made-up segments.
fn outer_sample() -> Vec<u8> {
    use rsp::der::Raw;
    use rsp::ids::TransactionId;
    use rsp::sgp22::es8plus::{ControlRefTemplate, InitialiseSecureChannelRequest, Segments};
    let request = InitialiseSecureChannelRequest {
        remote_op_id: 1,
        transaction_id: TransactionId(vec![7; 16]),
        control_ref_template: ControlRefTemplate {
            key_type: [0x88],
            key_len: [0x10],
            host_id: vec![0x80; 8],
        },
        smdp_otpk: vec![0x04; 65],
        smdp_sign: vec![0x5A; 64],
    };
    let mut sender = BppSender::new(keys());
    let bound = BoundProfilePackage {
        initialise_secure_channel_request: Raw::new(request),
        first_sequence_of87: Segments(sender.segments(0x87, &[0xBF, 0x24, 0])),
        sequence_of88: Segments(sender.mac_only_segments(0x88, &[0xBF, 0x25, 0])),
        second_sequence_of87: None,
        sequence_of86: Segments(sender.segments(0x86, &[0xA0, 0])),
    };
    bound.to_der()
}
