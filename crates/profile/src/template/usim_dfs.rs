//! Templates of the directories in ADF.USIM, and of DF.EAP.

use super::{Element, Shape};

pub(super) const GSM_ACCESS: &[Element] = &[
    Element::new("df-gsm-access", 0x5F3B, Shape::Df, 14).mandatory(),
    Element::new("ef-kc", 0x4F20, Shape::Transparent(9), 5).sfi(0x01).default("FF...FF07").high_update(),
    Element::new("ef-kcgprs", 0x4F52, Shape::Transparent(9), 5).sfi(0x02).default("FF...FF07").high_update(),
    Element::new("ef-cpbcch", 0x4F63, Shape::Transparent(10), 5).default("FF...FF").high_update(),
    Element::new("ef-invscan", 0x4F64, Shape::Transparent(1), 2).default("00"),
];

pub(super) const EAP: &[Element] = &[
    Element::new("df-eap", 0x0000, Shape::Df, 14).mandatory(),
    Element::new("ef-eapkeys", 0x4F01, Shape::Transparent(0), 2).content_required().high_update(),
    Element::new("ef-eapstatus", 0x4F02, Shape::Transparent(1), 2).default("00").mandatory().high_update(),
    Element::new("ef-puid", 0x4F03, Shape::Transparent(0), 2).content_required(),
    Element::new("ef-ps", 0x4F04, Shape::Transparent(0), 5).default("FF...FF").high_update(),
    Element::new("ef-curid", 0x4F20, Shape::Transparent(0), 5).default("FF...FF").high_update(),
    Element::new("ef-reid", 0x4F21, Shape::Transparent(0), 5).content_required(),
    Element::new("ef-realm", 0x4F22, Shape::Transparent(0), 5).content_required(),
];

pub(super) const DF_5GS: &[Element] = &[
    Element::new("df-df-5gs", 0x5FC0, Shape::Df, 14).mandatory(),
    Element::new("ef-5gs3gpploci", 0x4F01, Shape::Transparent(20), 5)
        .sfi(0x01)
        .default("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000001")
        .high_update(),
    Element::new("ef-5gsn3gpploci", 0x4F02, Shape::Transparent(20), 5)
        .sfi(0x02)
        .default("FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000001")
        .high_update(),
    Element::new("ef-5gs3gppnsc", 0x4F03, Shape::LinearFixed { records: 1, length: 57 }, 5)
        .sfi(0x03)
        .default("FF...FF")
        .high_update()
        .changed(3, Shape::LinearFixed { records: 2, length: 62 }, "FF...FF"),
    Element::new("ef-5gsn3gppnsc", 0x4F04, Shape::LinearFixed { records: 1, length: 57 }, 5)
        .sfi(0x04)
        .default("FF...FF")
        .high_update()
        .changed(3, Shape::LinearFixed { records: 2, length: 62 }, "FF...FF"),
    Element::new("ef-5gauthkeys", 0x4F05, Shape::Transparent(110), 5)
        .sfi(0x05)
        .content_required()
        .high_update(),
    Element::new("ef-uac-aic", 0x4F06, Shape::Transparent(4), 2).sfi(0x06).content_required(),
    Element::new("ef-suci-calc-info", 0x4F07, Shape::Transparent(0), 2).sfi(0x07).default("FF...FF"),
    Element::new("ef-opl5g", 0x4F08, Shape::LinearFixed { records: 0, length: 10 }, 10)
        .sfi(0x08)
        .default("FF...FF"),
    Element::new("ef-supinai", 0x4F09, Shape::Transparent(0), 2).sfi(0x09).content_required(),
    Element::new("ef-routing-indicator", 0x4F0A, Shape::Transparent(4), 2)
        .sfi(0x0A)
        .default("F0FFFFFF")
        .changed(4, Shape::Transparent(4), "F0FF0000"),
    Element::new("ef-ursp", 0x4F0B, Shape::BerTlv(0), 2).since(2),
    Element::new("ef-tn3gppsnn", 0x4F0C, Shape::Transparent(1), 2).sfi(0x0C).default("00").since(2),
    Element::new("ef-cag", 0x4F0D, Shape::Transparent(2), 2).sfi(0x0D).content_required().since(4),
    Element::new("ef-sor-cmci", 0x4F0E, Shape::Transparent(0), 2).sfi(0x0E).content_required().since(4),
    Element::new("ef-dri", 0x4F0F, Shape::Transparent(7), 2).sfi(0x0F).content_required().since(4),
    Element::new("ef-5gsedrx", 0x4F10, Shape::Transparent(2), 2).sfi(0x10).content_required().since(4),
    Element::new("ef-5gnswo-conf", 0x4F11, Shape::Transparent(1), 2).sfi(0x11).content_required().since(4),
    Element::new("ef-mchpplmn", 0x4F15, Shape::Transparent(1), 2).sfi(0x15).content_required().since(4),
    Element::new("ef-kausf-derivation", 0x4F16, Shape::Transparent(1), 2)
        .sfi(0x16)
        .content_required()
        .since(4),
];

pub(super) const DF_SAIP: &[Element] = &[
    Element::new("df-df-saip", 0x5FD0, Shape::Df, 14).mandatory(),
    Element::new("ef-suci-calc-info-usim", 0x4F01, Shape::Transparent(0), 3).default("FF...FF"),
];

pub(super) const DF_SNPN: &[Element] = &[
    Element::new("df-df-snpn", 0x5FE0, Shape::Df, 14).mandatory(),
    Element::new("ef-pws-snpn", 0x4F01, Shape::Transparent(1), 10).content_required(),
];

pub(super) const DF_5GPROSE: &[Element] = &[
    Element::new("df-df-5g-prose", 0x5FF0, Shape::Df, 14).mandatory(),
    Element::new("ef-5g-prose-st", 0x4F01, Shape::Transparent(1), 2).sfi(0x01).content_required(),
    Element::new("ef-5g-prose-dd", 0x4F02, Shape::Transparent(26), 2).sfi(0x02).content_required(),
    Element::new("ef-5g-prose-dc", 0x4F03, Shape::Transparent(12), 2).sfi(0x03).content_required(),
    Element::new("ef-5g-prose-u2nru", 0x4F04, Shape::Transparent(32), 2).sfi(0x04).content_required(),
    Element::new("ef-5g-prose-ru", 0x4F05, Shape::Transparent(29), 2).sfi(0x05).content_required(),
    Element::new("ef-5g-prose-uir", 0x4F06, Shape::Transparent(32), 2).sfi(0x06).content_required(),
];
