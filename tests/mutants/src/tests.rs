use crate::folder::Mutants;
use crate::list::Mutant;
use crate::parallel::in_parallel;
use crate::prepare::{block, numbers};
use crate::suite::package_name;
use crate::switch::switched;

/// A mutant in the form of cargo-mutants, at a line and column.
fn mutant(genre: &str, line: usize, column: usize, replacement: &str) -> Mutant {
    serde_json::from_value(serde_json::json!({
        "package": "net", "file": "src/lib.rs", "genre": genre, "replacement": replacement,
        "name": "a mutant", "span": { "start": { "line": line, "column": column } },
    }))
    .unwrap()
}

/// Puts mutants into a source, numbered from 1, and returns the result on one line.
fn with(source: &str, mutants: &[Mutant]) -> String {
    let numbered: Vec<(u32, &Mutant)> = (1..).zip(mutants).collect();
    let switched = switched(source, &numbered).unwrap();
    syn::parse_file(&switched.source).unwrap();
    assert_eq!(switched.numbers.len(), mutants.len(), "{}", switched.source);
    switched.source.split_whitespace().collect::<Vec<_>>().join(" ").replace("::mutant_switch::", "")
}

#[test]
fn a_function_returns_the_value_of_its_active_mutant() {
    let source = "fn f() -> u8 {\n    g()\n}";
    let mutants = [mutant("FnValue", 2, 5, "0"), mutant("FnValue", 2, 5, "1")];
    assert_eq!(with(source, &mutants), "fn f() -> u8 { if on(1) { return 0; } if on(2) { return 1; } g() }");
}

#[test]
fn an_operand_is_evaluated_once_and_only_when_it_is_needed() {
    let compared = with("fn f() -> bool {\n    a() < b()\n}", &[mutant("BinaryOperator", 2, 9, "==")]);
    assert_eq!(
        compared,
        "fn f() -> bool { (match (&(a()), &(b())) { (left, right) => if on(1) { left == right } else { left < right } }) }"
    );
    let both = with("fn f() -> bool {\n    a() && b()\n}", &[mutant("BinaryOperator", 2, 9, "||")]);
    assert_eq!(
        both,
        "fn f() -> bool { ({ let left = a(); if on(1) { left || b() } else { left && b() } }) }"
    );
    let sum = with("fn f() -> u8 {\n    a() + b()\n}", &[mutant("BinaryOperator", 2, 9, "-")]);
    assert_eq!(
        sum,
        "fn f() -> u8 { ({ let left = a(); let right = b(); if on(1) { left - right } else { left + right } }) }"
    );
    let added = with("fn f() {\n    a += b();\n}", &[mutant("BinaryOperator", 2, 7, "-=")]);
    assert_eq!(added, "fn f() { { if on(1) { a -= b(); } else { a += b(); } }; }");
}

#[test]
fn operations_inside_operands_have_their_own_switches() {
    let source = "fn f() -> u8 {\n    a + b * !c\n}";
    let mutants = [
        mutant("BinaryOperator", 2, 7, "-"),
        mutant("BinaryOperator", 2, 11, "/"),
        mutant("UnaryOperator", 2, 13, ""),
    ];
    let negated = "({ let operand = c; if on(3) { operand } else { !operand } })";
    let product = format!(
        "({{ let left = b; let right = {negated}; if on(2) {{ left / right }} else {{ left * right }} }})"
    );
    assert_eq!(
        with(source, &mutants),
        format!(
            "fn f() -> u8 {{ ({{ let left = a; let right = {product}; if on(1) {{ left - right }} else {{ left + right }} }}) }}"
        )
    );
}

#[test]
fn an_arm_disappears_and_a_guard_becomes_constant() {
    let source =
        "fn f() {\n    match a {\n        1 => b(),\n        n if c(n) => d(),\n        _ => {}\n    }\n}";
    let mutants = [
        mutant("MatchArm", 3, 9, ""),
        mutant("MatchArm", 4, 9, ""),
        mutant("MatchArmGuard", 4, 14, "true"),
        mutant("MatchArmGuard", 4, 14, "false"),
    ];
    assert_eq!(
        with(source, &mutants),
        "fn f() { match a { 1 if !on(1) => b(), n if (!on(2) && (on(3) || (!on(4) && (c(n))))) => d(), _ => {} } }"
    );
}

#[test]
fn a_field_has_the_value_of_the_rest() {
    let source = "fn f() -> S {\n    S { a: b(), c, ..d() }\n}";
    let mutants = [mutant("StructField", 2, 9, ""), mutant("StructField", 2, 17, "")];
    assert_eq!(
        with(source, &mutants),
        "fn f() -> S { S { a: if on(1) { let rest: S = d(); rest.a } else { b() }, c: if on(2) { let rest: S = d(); rest.c } else { c }, ..d() } }"
    );
}

#[test]
fn a_condition_with_let_has_no_switch() {
    let source = "fn f() {\n    if let Some(x) = a && b(x) {}\n}";
    let only = mutant("BinaryOperator", 2, 24, "||");
    let switched = switched(source, &[(1, &only)]).unwrap();
    assert_eq!((switched.source.as_str(), switched.numbers.len()), (source, 0));
}

#[test]
fn switches_are_found_in_the_text_of_an_error() {
    let text = "if ::mutant_switch::on(7) { } else if ::mutant_switch::on(12) { }";
    assert_eq!(numbers(text).into_iter().collect::<Vec<_>>(), [7, 12]);
    assert_eq!(block(" { a { b } } c").trim(), "{ a { b }");
}

#[test]
fn a_package_id_contains_the_name() {
    assert_eq!(package_name("path+file:///tree/crates/net#0.1.0"), "net");
    assert_eq!(package_name("path+file:///tree/crates/net#other@0.1.0"), "other");
}

#[test]
fn a_known_mutant_keeps_its_number_and_does_not_become_active_again() {
    let named = |name: &str| {
        let mut named = mutant("FnValue", 1, 1, "0");
        name.clone_into(&mut named.name);
        named
    };
    let numbers = |mutants: &Mutants| -> Vec<(u32, String)> {
        mutants.list.iter().map(|(number, mutant)| (*number, mutant.name.clone())).collect()
    };
    let mut mutants = Mutants::default().renewed(vec![named("a"), named("b"), named("c")]);
    assert_eq!(numbers(&mutants), [(1, "a".to_owned()), (2, "b".to_owned()), (3, "c".to_owned())]);
    assert_eq!(mutants.active, [1, 2, 3].into());
    // The second one does not compile.
    mutants.active.remove(&2);
    let renewed = mutants.renewed(vec![named("d"), named("b"), named("c")]);
    assert_eq!(numbers(&renewed), [(2, "b".to_owned()), (3, "c".to_owned()), (4, "d".to_owned())]);
    assert_eq!(renewed.active, [3, 4].into());
}

#[test]
fn the_first_error_ends_parallel_work() {
    let mut results = Vec::new();
    in_parallel(3, (1..=20).collect(), |n: u32| Ok(n * n), |_, n| results.push(n)).unwrap();
    results.sort_unstable();
    assert_eq!(results, (1..=20).map(|n| n * n).collect::<Vec<u32>>());
    let work = |n: u32| if n == 3 { Err("three".to_owned()) } else { Ok(n) };
    assert_eq!(in_parallel(2, (1..=20).collect(), work, |_, _| {}), Err("three".to_owned()));
}
