//! Repeated downloads of one order.

use super::{BY_EID, BY_EVENT, FOR_ANY_EID, FOR_EID, case};
use crate::case::{Case, run};
use crate::testbed::Offered;
use crate::verdict::{During, Verdict, equal};

const TEST: &str = "4.3.14.2.6 TC_SM-DP+_ES9+.AuthenticateClient_RetryCases_Reuse_OTPK";

pub(super) fn cases() -> Vec<Case> {
    [
        ("01", "default SM-DP+: a retry gets the one-time key of the bound package", BY_EID),
        ("02", "SM-DS: a retry gets the one-time key of the bound package", BY_EVENT),
        ("03", "activation code for the EID: a retry gets the one-time key of the bound package", FOR_EID),
        (
            "04",
            "activation code without EID: a retry gets the one-time key of the bound package",
            FOR_ANY_EID,
        ),
    ]
    .into_iter()
    .map(|(id, title, order)| {
        let run = run!(|testbed| {
            let key = testbed.euicc.one_time_key();
            let offered = testbed.offered().await?;
            testbed.bound(&offered, &key).await?;
            check_bpp_otpk(&testbed.offered().await.during("the retry")?, &key)
        });
        case(title, order, run).id(TEST, id)
    })
    .collect()
}

fn check_bpp_otpk(offered: &Offered, key: &crypto::SecretKey) -> Verdict {
    let expected = Some(key.public_key().to_sec1().to_vec());
    equal("smdpSigned2.bppEuiccOtpk", &offered.ok.smdp_signed2.bpp_euicc_otpk, &expected)
}
