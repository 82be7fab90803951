//! Templates of the IoT minimal profile.
//!
//! The TCA tables were not available: each file has the parameters of the file with the same name
//! in the full templates.

use super::{Element, Shape};

pub(super) const IOT: &[Element] = &[
    Element::new("mf", 0x3F00, Shape::Mf, 14),
    Element::new("ef-pl", 0x2F05, Shape::Transparent(2), 1).sfi(0x05).default("FF...FF"),
    Element::new("ef-iccid", 0x2FE2, Shape::Transparent(10), 11).content_required(),
    Element::new("ef-dir", 0x2F00, Shape::LinearFixed { records: 0, length: 0 }, 10)
        .sfi(0x1E)
        .content_required(),
    Element::new("ef-arr", 0x2F06, Shape::LinearFixed { records: 0, length: 0 }, 10).content_required(),
    Element::new("ef-umpc", 0x2F08, Shape::Transparent(5), 10).sfi(0x08),
    Element::new("adf-usim", 0x0000, Shape::Adf, 14),
    Element::new("ef-imsi", 0x6F07, Shape::Transparent(9), 2).sfi(0x07).content_required().mandatory(),
    Element::new("ef-arr-usim", 0x6F06, Shape::LinearFixed { records: 0, length: 0 }, 10)
        .sfi(0x17)
        .content_required(),
    Element::new("ef-keys", 0x6F08, Shape::Transparent(33), 5).sfi(0x08).default("07FF...FF").high_update(),
    Element::new("ef-keysPS", 0x6F09, Shape::Transparent(33), 5).sfi(0x09).default("07FF...FF").high_update(),
    Element::new("ef-hpplmn", 0x6F31, Shape::Transparent(1), 2).sfi(0x12).default("0A"),
    Element::new("ef-ust", 0x6F38, Shape::Transparent(17), 2).sfi(0x04).content_required(),
    Element::new("ef-start-hfn", 0x6F5B, Shape::Transparent(6), 5)
        .sfi(0x0F)
        .default("F00000F00000")
        .high_update(),
    Element::new("ef-threshold", 0x6F5C, Shape::Transparent(3), 2).sfi(0x10).default("FFFFFF"),
    Element::new("ef-psloci", 0x6F73, Shape::Transparent(14), 5)
        .sfi(0x0C)
        .default("FFFFFFFFFFFFFFFFFFFF0000FF01")
        .high_update(),
    Element::new("ef-acc", 0x6F78, Shape::Transparent(2), 2).sfi(0x06).content_required().mandatory(),
    Element::new("ef-fplmn", 0x6F7B, Shape::Transparent(12), 5).sfi(0x0D).default("FF...FF"),
    Element::new("ef-loci", 0x6F7E, Shape::Transparent(11), 5)
        .sfi(0x0B)
        .default("FFFFFFFFFFFFFF0000FF01")
        .high_update(),
    Element::new("ef-ad", 0x6FAD, Shape::Transparent(4), 10).sfi(0x03).default("00000002"),
    Element::new("ef-ecc", 0x6FB7, Shape::LinearFixed { records: 1, length: 4 }, 10)
        .sfi(0x01)
        .content_required(),
    Element::new("ef-netpar", 0x6FC4, Shape::Transparent(128), 5).default("FF...FF").high_update(),
];

pub(super) const OPT_IOT: &[Element] = &[
    Element::new("ef-fdn", 0x6F3B, Shape::LinearFixed { records: 20, length: 26 }, 8).default("FF...FF"),
    Element::new("ef-sms", 0x6F3C, Shape::LinearFixed { records: 10, length: 176 }, 5).default("00FF...FF"),
    Element::new("ef-smsp", 0x6F42, Shape::LinearFixed { records: 1, length: 38 }, 5).default("FF...FF"),
    Element::new("ef-smss", 0x6F43, Shape::Transparent(2), 5).default("FFFF"),
    Element::new("ef-spn", 0x6F46, Shape::Transparent(17), 10).content_required(),
    Element::new("ef-est", 0x6F56, Shape::Transparent(1), 8).sfi(0x05).content_required(),
    Element::new("ef-oplmnwact", 0x6F61, Shape::Transparent(40), 2).sfi(0x11).default("FFFFFF0000*"),
    Element::new("ef-hplmnwact", 0x6F62, Shape::Transparent(5), 2).sfi(0x13).default("FFFFFF0000"),
    Element::new("ef-ehplmn", 0x6FD9, Shape::Transparent(15), 2).sfi(0x1D).default("FF...FF"),
    Element::new("ef-epsloci", 0x6FE3, Shape::Transparent(18), 5)
        .sfi(0x1E)
        .default("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFF000001")
        .high_update(),
    Element::new("ef-epsnsc", 0x6FE4, Shape::LinearFixed { records: 1, length: 80 }, 5)
        .sfi(0x18)
        .default("FF...FF")
        .high_update(),
    Element::new("df-df-5gs", 0x5FC0, Shape::Df, 14),
    Element::new("ef-5gs3gpploci", 0x4F01, Shape::Transparent(20), 5)
        .sfi(0x01)
        .default("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000001")
        .high_update(),
    Element::new("ef-5gsn3gpploci", 0x4F02, Shape::Transparent(20), 5)
        .sfi(0x02)
        .default("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000001")
        .high_update(),
    Element::new("ef-5gs3gppnsc", 0x4F03, Shape::LinearFixed { records: 2, length: 62 }, 5)
        .sfi(0x03)
        .default("FF...FF")
        .high_update(),
    Element::new("ef-5gsn3gppnsc", 0x4F04, Shape::LinearFixed { records: 2, length: 62 }, 5)
        .sfi(0x04)
        .default("FF...FF")
        .high_update(),
    Element::new("ef-5gauthkeys", 0x4F05, Shape::Transparent(110), 5)
        .sfi(0x05)
        .content_required()
        .high_update(),
    Element::new("ef-uac-aic", 0x4F06, Shape::Transparent(4), 2).sfi(0x06).content_required(),
    Element::new("ef-suci-calc-info", 0x4F07, Shape::Transparent(0), 2).sfi(0x07).default("FF...FF"),
    Element::new("ef-opl5g", 0x4F08, Shape::LinearFixed { records: 0, length: 10 }, 10)
        .sfi(0x08)
        .default("FF...FF"),
    Element::new("ef-supi-nai", 0x4F09, Shape::Transparent(0), 2).sfi(0x09).content_required(),
    Element::new("ef-routing-indicator", 0x4F0A, Shape::Transparent(4), 2).sfi(0x0A).default("F0FF0000"),
    Element::new("ef-ursp", 0x4F0B, Shape::BerTlv(0), 2),
    Element::new("ef-tn3gppsnn", 0x4F0C, Shape::Transparent(1), 2).sfi(0x0C).default("00"),
    Element::new("df-df-saip", 0x5FD0, Shape::Df, 14),
    Element::new("ef-suci-calc-info-usim", 0x4F01, Shape::Transparent(0), 3).default("FF...FF"),
];
