//! The authentication algorithm of an application's parameters.

use std::num::NonZeroU8;

use crypto::aka::Algorithm;
use crypto::milenage::{Constants, Milenage};
use crypto::tuak::{ResLength, Tuak, TuakKey};
use crypto::usim_test::UsimTest;
use profile::element::AlgorithmId;
use profile::facts::Aka;

/// True if the card supports the algorithm of these parameters.
pub(crate) fn supports(aka: &Aka) -> bool {
    algorithm(aka).is_some()
}

pub(super) fn algorithm(aka: &Aka) -> Option<Algorithm> {
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
