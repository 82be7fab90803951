use profile::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let p = Package::decode(&std::fs::read(&a[1]).unwrap()).unwrap();
    let f = FileSystem::build(&p).unwrap();
    for (i, x) in f.all() {
        let path: Vec<String> = f.path_of(i).iter().map(|f| f.to_string()).collect();
        println!(
            "{}",
            serde_json::json!({"path":path.join("/"),"type":x.kind.letters(),"sfi":x.sfi,"arr":x.access_rule.map(|r|hex::encode(r.octets())),"size":f.content(i).map(|c|c.len()),"rec":x.kind.record_length(),"name":x.name,"link":x.link.is_some(),"body":f.content(i).map(hex::encode),"lcsi":x.life_cycle,"pst":x.pin_status_template.to_string(),"kind":format!("{:?}",x.kind)})
        );
    }
}
