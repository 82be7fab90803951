use super::*;
use crate::hex::{unhex, unhex_array};

/// A session of pySim's tests/unittests/test_globalplatform.py (`SCP03_Test_...`), recorded with a
/// real card.
struct Session {
    key_octets: usize,
    level: u8,
    initialize_update: &'static str,
    card_response: &'static str,
    external_authenticate: &'static str,
    get_eid: &'static str,
    eid_response: &'static str,
    /// Wrapped commands without and with data, each without and with Le, as pySim wraps them.
    cases: [&'static str; 4],
}

const SESSIONS: [Session; 9] = [
    Session {
        key_octets: 16,
        level: 0x11,
        initialize_update: "8050300008b13e5f938fc108c400",
        card_response: "000000000000000000003003703eb51047495b249f66c484c1d2ef1948000002",
        external_authenticate: "84821100107d5f5826a993ebc89eea24957fa0b3ce",
        get_eid: "84e291000ebf3e035c015a558d036518a2829700",
        eid_response: "bf3e125a1089882119900000000000000000000005971be68992dbbdfa",
        cases: [
            "84f220020863a63f8959827fb2",
            "84ca006608a0c6a4a74166f7ce00",
            "84f22002124f0212345c054f9f70c52249b50272656536",
            "84f280020a4f00e91443f6dce6b8ed00",
        ],
    },
    Session {
        key_octets: 16,
        level: 0x03,
        initialize_update: "80503000088e1552d0513c60f300",
        card_response: "0000000000000000000030037030760cd2c47c1dd395065fe5ead8a9d7000001",
        external_authenticate: "8482030010fd4721a14d9b07003c451d2f8ae6bb21",
        get_eid: "84e2910018ca9c00f6713d79bc8baa642bdff51c3f6a4082d3bd9ad26c00",
        eid_response: "bf3e125a1089882119900000000000000000000005",
        cases: [
            "84f2200208c9811b11f1264cf1",
            "84ca006608e10ab60b3054798800",
            "84f22002184e2908bdb48b2315a55482e9e936ca122d6ecfae7d17416e",
            "84f28002180dd10a6b6193e5340b9e77d32d5a179cd710ac2773aefb2800",
        ],
    },
    Session {
        key_octets: 16,
        level: 0x33,
        initialize_update: "8050300008fdf38259a1e0de4400",
        card_response: "000000000000000000003003703b1aca81e821f219081cdc01c26b372d000003",
        external_authenticate: "84823300108c36f96bcc00724a4e13ad591d7da3f0",
        get_eid: "84e2910018267a85dfe4a98fca6fb0527e0dfecce4914e40401433c87f00",
        eid_response: "f3ba2b1013aa6224f5e1c138d71805c569e5439b47576260b75fc021b25097cb2e68f8a0144975b9",
        cases: [
            "84f2200208ac6a59024bed84cc",
            "84ca006608409912ad8fb7aed000",
            "84f22002185f3dafc3ac14c381536a488bf44e06d056df9d74dbd21e5a",
            "84f280021865165105be3373347d0424d4400af2ac393f569ec779389e00",
        ],
    },
    Session {
        key_octets: 24,
        level: 0x11,
        initialize_update: "80503100087396430b768b085b00",
        card_response: "000000000000000000003103708cfc23522ffdbf1e5df5542cac8fd866000003",
        external_authenticate: "84821100102145ed30b146f5db252fb7e624cec244",
        get_eid: "84e291000ebf3e035c015aff42cf801d14394400",
        eid_response: "bf3e125a1089882119900000000000000000000005162fbd33e04940a9",
        cases: [
            "84f22002084584e4f6784811ee",
            "84ca006608937776ebe190fa3000",
            "84f22002124f0212345c054f9f70c59a52bddf3040368c",
            "84f280020a4f009804b11411f7393d00",
        ],
    },
    Session {
        key_octets: 24,
        level: 0x03,
        initialize_update: "805031000869c65da8202bf19f00",
        card_response: "00000000000000000000310370b570a67be38446717729d6dd3d2ec5b1000001",
        external_authenticate: "848203001065df4f1a356a887905466516d9e5b7c1",
        get_eid: "84e2910018d2c6fb477c5d4afe4fd4d21f17eff10d3578ec1774a12a2d00",
        eid_response: "bf3e125a1089882119900000000000000000000005",
        cases: [
            "84f2200208964e188f0b1bb697",
            "84ca006608f0820035a41d3e1800",
            "84f220021806b076ed452cd1fa84f77f5c08a146aa77a9286757dea791",
            "84f2800218d06527e39222dce091fabdb8e9b898417a67a6852d3577db00",
        ],
    },
    Session {
        key_octets: 24,
        level: 0x33,
        initialize_update: "80503100089b3f2eef0e8c937400",
        card_response: "00000000000000000000310370f6bb305a15bae1a68f79fb08212fbed7000002",
        external_authenticate: "84823300109100bc22d58b45b86a26365ce39ff3cf",
        get_eid: "84e29100188f7f946c84f70d17994bc6e8791251bb1bb1bf02cf8de58900",
        eid_response: "c05176c1b6f72aae50c32cbee63b0e95998928fd4dfb2be9f27ffde8c8476f5909b4805cc4039599",
        cases: [
            "84f2200208d5d97754b6b3d2ba",
            "84ca006608516c82b8e30adbeb00",
            "84f2200218cc247f4761e6944277a4e0d6e32e44025b1e31537e2fc668",
            "84f2800218ba22b63d509bef5d093b43e5eaed03ed23144ab2d9cb51de00",
        ],
    },
    Session {
        key_octets: 32,
        level: 0x11,
        initialize_update: "805032000811666d57866c6f5400",
        card_response: "0000000000000000000032037053ea8847efa7674e41498a4d66cf0dee000003",
        external_authenticate: "84821100102f2ad190eff2fafc4908996d1cebd310",
        get_eid: "84e291000ebf3e035c015af4b680372542b59d00",
        eid_response: "bf3e125a10898821199000000000000000000000058012dd7f01f1c4c1",
        cases: [
            "84f2200208d618b7da68d5fe52",
            "84ca0066088f3e055db23ad5e500",
            "84f22002124f0212345c054f9f70c5b6e15cc42404915e",
            "84f280020a4f00aa124aa74afe7f7500",
        ],
    },
    Session {
        key_octets: 32,
        level: 0x03,
        initialize_update: "8050320008c6066990fc426e1d00",
        card_response: "000000000000000000003203708682cd81bbd8919f2de3f2664581f118000001",
        external_authenticate: "848203001077c493b632edadaf865a1e64acc07ce9",
        get_eid: "84e29100183ddaa60594963befaada3525b492ede23c2ab2c1ce3afe4400",
        eid_response: "bf3e125a1089882119900000000000000000000005",
        cases: [
            "84f2200208480ddc8e419da38d",
            "84ca0066083e9d6a6c0b2d732000",
            "84f22002183ebfef2da8b04af2a85f491f299b76973df76ff08a4031be",
            "84f2800218783fff80990f5585b1055010ea95094a26e4a8f1ef4b18e100",
        ],
    },
    Session {
        key_octets: 32,
        level: 0x33,
        initialize_update: "805032000897b2055fe58599fd00",
        card_response: "00000000000000000000320370a8439a22cedf045fa9f1903b2834f26e000002",
        external_authenticate: "8482330010508a0fd959d2e547c6b33154a6be2057",
        get_eid: "84e29100187a5ef717eaf1e135ae92fe54429d0e465decda65f5fe5aea00",
        eid_response: "ea90dbfa648a67c5eb6abc57f8530b97d0cd5647c5e8732016b55203b078dd2ace7f8bc5d1c1cd99",
        cases: [
            "84f2200208bcc5c17275545d93",
            "84ca00660804806aba9d543bb600",
            "84f2200218717222491556ec81a45f49ce48be33320024801a1c4cb0e0",
            "84f2800218561f105bccd3a1642904b251ccc1228beb80a82370a8637000",
        ],
    },
];

const CASES: [&str; 4] = ["80f22002", "80ca006600", "80f220020a4f0212345c054f9f70c5", "80f28002024f0000"];
const GET_EID: &str = "80e2910006bf3e035c015a00";
const EID: &str = "bf3e125a1089882119900000000000000000000005";

impl Session {
    fn static_keys(&self) -> StaticKeys {
        let key = |first: u8| {
            let octets: Vec<u8> = (0..16).cycle().take(self.key_octets).map(|at| first + at).collect();
            AesKey::from_slice(&octets).unwrap()
        };
        StaticKeys { enc: key(0x00), mac: key(0x10), dek: key(0x20) }
    }

    fn keys(&self) -> SessionKeys {
        let response = unhex(self.card_response);
        SessionKeys::derive(
            &self.static_keys(),
            unhex(self.initialize_update)[5..13].try_into().unwrap(),
            response[13..21].try_into().unwrap(),
        )
    }

    fn channel(&self) -> Channel {
        Channel::new(self.keys(), SecurityLevel::of(self.level).unwrap())
    }
}

/// Splits an APDU into header, data and the presence of Le, as far as the test commands require it.
fn parts(apdu: &[u8]) -> ([u8; 4], &[u8], bool) {
    let header = apdu[..4].try_into().unwrap();
    match apdu.len() {
        4 | 5 => (header, &[], apdu.len() == 5),
        _ => {
            let end = 5 + usize::from(apdu[4]);
            (header, &apdu[5..end], apdu.len() > end)
        }
    }
}

fn wrapped(channel: &mut Channel, apdu: &str) -> Vec<u8> {
    let apdu = unhex(apdu);
    let (header, data, has_le) = parts(&apdu);
    let (header, data) = channel.protect(header, data);
    let mut out = [header.as_slice(), &[data.len() as u8], &data].concat();
    out.extend(has_le.then_some(0));
    out
}

#[test]
fn the_host_reproduces_the_sessions_of_pysim() {
    for session in &SESSIONS {
        let keys = session.keys();
        assert_eq!(keys.card_cryptogram().as_slice(), &unhex(session.card_response)[21..29]);
        let mut host = session.channel();
        assert_eq!(host.external_authenticate(), unhex(session.external_authenticate));
        assert_eq!(wrapped(&mut host, GET_EID), unhex(session.get_eid));
        assert_eq!(host.unprotect_response(0x9000, &unhex(session.eid_response)), Ok(unhex(EID)));
        for (plain, sent) in CASES.iter().zip(session.cases) {
            assert_eq!(wrapped(&mut host, plain), unhex(sent), "{plain}");
        }
    }
}

#[test]
fn the_card_accepts_and_answers_the_sessions_of_pysim() {
    for session in &SESSIONS {
        let mut card = session.channel();
        let authenticate = unhex(session.external_authenticate);
        let (header, data, _) = parts(&authenticate);
        assert_eq!(card.check_external_authenticate(header, data), Ok(()));
        let get_eid = unhex(session.get_eid);
        let (header, data, _) = parts(&get_eid);
        assert_eq!(card.unprotect(header, data), Ok(unhex(GET_EID)[5..11].to_vec()));
        assert_eq!(card.protect_response(0x9000, &unhex(EID)), unhex(session.eid_response));
        for (plain, sent) in CASES.iter().zip(session.cases) {
            let (plain, sent) = (unhex(plain), unhex(sent));
            let (header, data, _) = parts(&sent);
            // In pySim's vectors Lc counts MAC and data, and the MAC covers this Lc.
            assert_eq!(card.unprotect(header, data).as_deref(), Ok(parts(&plain).1));
        }
    }
}

/// With i = 70 the card challenge is a function of its counter and the AID of the selected
/// application. The recorded sessions do not contain the AID, so the values are those of the worked
/// example in `scp03t`.
#[test]
fn the_card_challenge_is_deterministic() {
    let keys = StaticKeys {
        enc: AesKey::new(unhex_array("c40b97be5c644ba3e2d06dac8747a6f3")),
        mac: AesKey::new([0; 16]),
        dek: AesKey::new([0; 16]),
    };
    let aid = unhex("a0000005591010ffffffff8900001100");
    assert_eq!(keys.card_challenge([0, 0, 1], &aid).as_slice(), unhex("ce2811c576f5fbb0"));
    assert_ne!(keys.card_challenge([0, 0, 2], &aid), keys.card_challenge([0, 0, 1], &aid));
}

fn pair() -> (Channel, Channel) {
    let mut host = SESSIONS[2].channel();
    let mut card = SESSIONS[2].channel();
    let authenticate = host.external_authenticate();
    let (header, data, _) = parts(&authenticate);
    card.check_external_authenticate(header, data).unwrap();
    (host, card)
}

#[test]
fn protected_commands_and_responses_are_recovered_also_after_the_session_is_resumed() {
    let (mut host, mut card) = pair();
    let header = [0x80, 0xE2, 0x88, 0x00];
    for octets in [0, 1, 15, 16, 100, 239, 300] {
        let data = vec![0x5A; octets];
        let (sent, protected) = host.protect(header, &data);
        assert_eq!(card.unprotect(sent, &protected), Ok(data.clone()));
        let response = card.protect_response(0x6310, &data);
        assert_eq!(host.unprotect_response(0x6310, &response), Ok(data));
        assert_eq!(card.protect_response(0x6A80, &[]), Vec::<u8>::new());
        host = Channel::resumed(SESSIONS[2].keys(), SecurityLevel::FULL, host.chain());
    }
}

// req: GPC-D-Mac
#[test]
fn altered_and_repeated_messages_and_a_message_after_an_omitted_one_are_refused() {
    let (mut host, card) = pair();
    let (header, data) = host.protect([0x80, 0xE2, 0x88, 0x00], &[1, 2, 3]);
    for bit in 0..(4 + data.len()) * 8 {
        let mut altered = [header.as_slice(), &data].concat();
        altered[bit / 8] ^= 1 << (bit % 8);
        let (header, data) = altered.split_at(4);
        assert!(card.clone().unprotect(header.try_into().unwrap(), data).is_err(), "bit {bit}");
    }
    let mut repeated = card.clone();
    repeated.unprotect(header, &data).unwrap();
    assert!(repeated.unprotect(header, &data).is_err());
    let (next, next_data) = host.protect([0x80, 0xE2, 0x88, 0x00], &[4]);
    assert!(card.clone().unprotect(next, &next_data).is_err());
    assert!(matches!(card.clone().unprotect(header, &[1; 7]), Err(ChannelError::Structure(_))));
    let response = repeated.protect_response(0x9000, &[1]);
    assert!(host.unprotect_response(0x6200, &response).is_err());
    assert!(host.unprotect_response(0x9000, &response[1..]).is_err());
}

#[test]
fn authentication_requires_the_keys() {
    let authenticate = unhex(SESSIONS[0].external_authenticate);
    let (header, data, _) = parts(&authenticate);
    let mut other = SESSIONS[2].channel();
    assert!(matches!(other.check_external_authenticate(header, data), Err(ChannelError::Security(_))));
    let mut short = SESSIONS[0].channel();
    assert!(matches!(short.check_external_authenticate(header, &data[1..]), Err(ChannelError::Structure(_))));
    for level in 0..=0xFF_u8 {
        let exists = matches!(level, 0x00 | 0x01 | 0x03 | 0x11 | 0x13 | 0x33);
        assert_eq!(SecurityLevel::of(level).map(SecurityLevel::code), exists.then_some(level));
    }
}
