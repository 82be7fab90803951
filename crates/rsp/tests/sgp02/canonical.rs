//! Exclusive canonical XML. The expected values are the output of `xmllint --exc-c14n` (libxml2
//! 2.9.14).

use rsp::sgp02::xml::{exclusive, parse};

const CASES: &[(&str, &str)] = &[
    (
        "<a:x xmlns:a=\"urn:a\" xmlns:b=\"urn:b\" xmlns=\"urn:d\"><a:y b:k=\"1\" k=\"2\" a:k=\"3\"><z/></a:y><b:w xmlns:b=\"urn:b2\"/><w xmlns=\"\"><v/></w></a:x>",
        "<a:x xmlns:a=\"urn:a\"><a:y xmlns:b=\"urn:b\" k=\"2\" a:k=\"3\" b:k=\"1\"><z xmlns=\"urn:d\"></z></a:y><b:w xmlns:b=\"urn:b2\"></b:w><w><v></v></w></a:x>",
    ),
    (
        "<x  c='3'\n b = '2' a='&quot;&#9;&#10;&#13;&amp;&lt;&gt;' ><![CDATA[<&>]]>&#13;&gt;\r\n\t</x>",
        "<x a=\"&quot;&#x9;&#xA;&#xD;&amp;&lt;>\" b=\"2\" c=\"3\">&lt;&amp;&gt;&#xD;&gt;\n\t</x>",
    ),
    (
        "<x xmlns=\"urn:d\"><y xmlns:p=\"urn:p\"><p:z p:q=\"1\"><y/></p:z></y><?pi  some data ?><?empty?></x>",
        "<x xmlns=\"urn:d\"><y><p:z xmlns:p=\"urn:p\" p:q=\"1\"><y></y></p:z></y><?pi some data ?><?empty?></x>",
    ),
    (
        "<p:x xmlns:p=\"urn:1\"><p:x xmlns:p=\"urn:2\"><p:x xmlns:p=\"urn:1\"/></p:x><p:x/></p:x>",
        "<p:x xmlns:p=\"urn:1\"><p:x xmlns:p=\"urn:2\"><p:x xmlns:p=\"urn:1\"></p:x></p:x><p:x></p:x></p:x>",
    ),
    (
        "<x xml:lang=\"de\" xmlns:n=\"urn:n\"><y n:a=\"ü\" xml:space=\"preserve\"> ü€😀 </y></x>",
        "<x xml:lang=\"de\"><y xmlns:n=\"urn:n\" xml:space=\"preserve\" n:a=\"ü\"> ü€😀 </y></x>",
    ),
];

#[test]
fn the_canonical_form_equals_that_of_libxml2_and_is_idempotent() {
    for (text, canonical) in CASES {
        let found = exclusive(parse(text).unwrap().root_element());
        assert_eq!(found, *canonical, "{text}");
        assert_eq!(exclusive(parse(&found).unwrap().root_element()), found);
    }
}
