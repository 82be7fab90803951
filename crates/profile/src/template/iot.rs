//! Templates of the IoT minimal profile.
//!
//! The TCA tables were not available: each file has the parameters of the file with the same name
//! in the full templates.

use super::{Element, Shape, ber_tlv, directory, linear_fixed, transparent};

pub(super) const IOT: &[Element] = &[
    directory("mf", 0x3F00, Shape::Mf),
    transparent("ef-pl", 0x2F05, 2, 1).sfi(0x05).default("FF...FF"),
    transparent("ef-iccid", 0x2FE2, 10, 11).content_required(),
    linear_fixed("ef-dir", 0x2F00, 0, 0, 10).sfi(0x1E).content_required(),
    linear_fixed("ef-arr", 0x2F06, 0, 0, 10).content_required(),
    transparent("ef-umpc", 0x2F08, 5, 10).sfi(0x08),
    directory("adf-usim", 0x0000, Shape::Adf),
    transparent("ef-imsi", 0x6F07, 9, 2).sfi(0x07).content_required().mandatory(),
    linear_fixed("ef-arr-usim", 0x6F06, 0, 0, 10).sfi(0x17).content_required(),
    transparent("ef-keys", 0x6F08, 33, 5).sfi(0x08).default("07FF...FF").high_update(),
    transparent("ef-keysPS", 0x6F09, 33, 5).sfi(0x09).default("07FF...FF").high_update(),
    transparent("ef-hpplmn", 0x6F31, 1, 2).sfi(0x12).default("0A"),
    transparent("ef-ust", 0x6F38, 17, 2).sfi(0x04).content_required(),
    transparent("ef-start-hfn", 0x6F5B, 6, 5).sfi(0x0F).default("F00000F00000").high_update(),
    transparent("ef-threshold", 0x6F5C, 3, 2).sfi(0x10).default("FFFFFF"),
    transparent("ef-psloci", 0x6F73, 14, 5).sfi(0x0C).default("FFFFFFFFFFFFFFFFFFFF0000FF01").high_update(),
    transparent("ef-acc", 0x6F78, 2, 2).sfi(0x06).content_required().mandatory(),
    transparent("ef-fplmn", 0x6F7B, 12, 5).sfi(0x0D).default("FF...FF"),
    transparent("ef-loci", 0x6F7E, 11, 5).sfi(0x0B).default("FFFFFFFFFFFFFF0000FF01").high_update(),
    transparent("ef-ad", 0x6FAD, 4, 10).sfi(0x03).default("00000002"),
    linear_fixed("ef-ecc", 0x6FB7, 1, 4, 10).sfi(0x01).content_required(),
    transparent("ef-netpar", 0x6FC4, 128, 5).default("FF...FF").high_update(),
];

pub(super) const OPT_IOT: &[Element] = &[
    linear_fixed("ef-fdn", 0x6F3B, 20, 26, 8).default("FF...FF"),
    linear_fixed("ef-sms", 0x6F3C, 10, 176, 5).default("00FF...FF"),
    linear_fixed("ef-smsp", 0x6F42, 1, 38, 5).default("FF...FF"),
    transparent("ef-smss", 0x6F43, 2, 5).default("FFFF"),
    transparent("ef-spn", 0x6F46, 17, 10).content_required(),
    transparent("ef-est", 0x6F56, 1, 8).sfi(0x05).content_required(),
    transparent("ef-oplmnwact", 0x6F61, 40, 2).sfi(0x11).default("FFFFFF0000*"),
    transparent("ef-hplmnwact", 0x6F62, 5, 2).sfi(0x13).default("FFFFFF0000"),
    transparent("ef-ehplmn", 0x6FD9, 15, 2).sfi(0x1D).default("FF...FF"),
    transparent("ef-epsloci", 0x6FE3, 18, 5)
        .sfi(0x1E)
        .default("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFF000001")
        .high_update(),
    linear_fixed("ef-epsnsc", 0x6FE4, 1, 80, 5).sfi(0x18).default("FF...FF").high_update(),
    directory("df-df-5gs", 0x5FC0, Shape::Df),
    transparent("ef-5gs3gpploci", 0x4F01, 20, 5)
        .sfi(0x01)
        .default("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000001")
        .high_update(),
    transparent("ef-5gsn3gpploci", 0x4F02, 20, 5)
        .sfi(0x02)
        .default("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000001")
        .high_update(),
    linear_fixed("ef-5gs3gppnsc", 0x4F03, 2, 62, 5).sfi(0x03).default("FF...FF").high_update(),
    linear_fixed("ef-5gsn3gppnsc", 0x4F04, 2, 62, 5).sfi(0x04).default("FF...FF").high_update(),
    transparent("ef-5gauthkeys", 0x4F05, 110, 5).sfi(0x05).content_required().high_update(),
    transparent("ef-uac-aic", 0x4F06, 4, 2).sfi(0x06).content_required(),
    transparent("ef-suci-calc-info", 0x4F07, 0, 2).sfi(0x07).default("FF...FF"),
    linear_fixed("ef-opl5g", 0x4F08, 0, 10, 10).sfi(0x08).default("FF...FF"),
    transparent("ef-supi-nai", 0x4F09, 0, 2).sfi(0x09).content_required(),
    transparent("ef-routing-indicator", 0x4F0A, 4, 2).sfi(0x0A).default("F0FF0000"),
    ber_tlv("ef-ursp", 0x4F0B, 2),
    transparent("ef-tn3gppsnn", 0x4F0C, 1, 2).sfi(0x0C).default("00"),
    directory("df-df-saip", 0x5FD0, Shape::Df),
    transparent("ef-suci-calc-info-usim", 0x4F01, 0, 3).default("FF...FF"),
];
