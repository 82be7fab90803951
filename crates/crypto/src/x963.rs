//! The key derivation function of ANSI X9.63, SEC 1 section 3.6.1, BSI TR-03111 section 4.3.3.

use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use crate::secret::Secret;

/// Derives `out_len` octets from the shared secret `z`: SHA-256(z || counter || shared_info), with
/// the counter starting at 1.
#[must_use]
pub fn kdf_sha256(z: &[u8], shared_info: &[u8], out_len: usize) -> Secret<Vec<u8>> {
    // The full capacity is reserved first, because reallocation would leave copies of key material
    // in memory.
    let mut out = Vec::with_capacity(out_len);
    for counter in 1_u32.. {
        let missing = out_len - out.len();
        if missing == 0 {
            break;
        }
        let mut block: [u8; 32] = Sha256::new()
            .chain_update(z)
            .chain_update(counter.to_be_bytes())
            .chain_update(shared_info)
            .finalize()
            .into();
        out.extend(block.iter().take(missing));
        block.zeroize();
    }
    Secret::new(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hex::unhex;

    /// NIST CAVP, component testing, ansx963_2001.rsp, SHA-256: the first case without SharedInfo
    /// and the first case with it.
    #[test]
    fn nist_cavp_vectors() {
        for (z, shared_info, key) in [
            ("96c05619d56c328ab95fe84b18264b08725b85e33fd34f08", "", "443024c3dae66b95e6f5670601558f71"),
            ("96f600b73ad6ac5629577eced51743dd2c24c21b1ac83ee4", "", "b6295162a7804f5667ba9070f82fa522"),
            (
                "22518b10e70f2a3f243810ae3254139efbee04aa57c7af7d",
                "75eef81aa3041e33b80971203d2c0c52",
                "c498af77161cc59f2962b9a713e2b215152d139766ce34a776df11866a69bf2e\
                 52a13d9c7c6fc878c50c5ea0bc7b00e0da2447cfd874f6cf92f30d0097111485\
                 500c90c3af8b487872d04685d14c8d1dc8d7fa08beb0ce0ababc11f0bd496269\
                 142d43525a78e5bc79a17f59676a5706dc54d54d4d1f0bd7e386128ec26afc21",
            ),
            (
                "7e335afa4b31d772c0635c7b0e06f26fcd781df947d2990a",
                "d65a4812733f8cdbcdfb4b2f4c191d87",
                "c0bd9e38a8f9de14c2acd35b2f3410c6988cf02400543631e0d6a4c1d030365a\
                 cbf398115e51aaddebdc9590664210f9aa9fed770d4c57edeafa0b8c14f93300\
                 865251218c262d63dadc47dfa0e0284826793985137e0a544ec80abf2fdf5ab9\
                 0bdaea66204012efe34971dc431d625cd9a329b8217cc8fd0d9f02b13f2f6b0b",
            ),
        ] {
            let key = unhex(key);
            assert_eq!(*kdf_sha256(&unhex(z), &unhex(shared_info), key.len()).expose(), key);
        }
    }

    #[test]
    fn a_shorter_key_is_a_prefix_of_a_longer_one() {
        let long = kdf_sha256(b"z", b"info", 65);
        for len in 0..=65 {
            assert_eq!(*kdf_sha256(b"z", b"info", len).expose(), long.expose()[..len]);
        }
    }
}
