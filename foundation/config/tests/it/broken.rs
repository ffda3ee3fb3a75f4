//! Broken files, and what their writers are shown: snapshots without colours, at most 100 columns.

use super::read;

/// The messages, each line of which must fit a terminal.
fn shown(text: &str) -> String {
    let problems = read(text).expect_err("the file is broken");
    let shown = problems.render(false);
    for line in shown.lines() {
        assert!(line.chars().count() <= 100, "{} columns: {line}", line.chars().count());
    }
    shown
}

macro_rules! broken {
    ($($name:ident: $text:expr;)*) => {
        $(
            #[test]
            fn $name() {
                insta::assert_snapshot!(stringify!($name), shown($text));
            }
        )*
    };
}

broken! {
    unknown_key_with_a_near_spelling: "[limits]\nbody_byte = 1024\n";
    unknown_section: "[listner]\nmain = \"off\"\n\n[agent]\nname = \"x\"\n";
    key_in_the_wrong_section: "[limits]\njson_depth = 64\nsample = 0.5\n";
    wrong_types: "domain = 7\n[limits]\nbody_bytes = true\nparts = \"many\"\nrequest_seconds = \"5s\"\n[egress]\nallow = \"10.0.0.0/8\"\n";
    bad_ranges: "[limits]\njson_depth = 4\nbody_bytes = \"16MB\"\nparts = -1\n[telemetry]\nsample = 1.5\n[balance]\nattempts = 0\n";
    misspelt_words: "[log]\nlevel = \"inof\"\nformat = \"jsno\"\n[balance]\npolicy = \"random\"\n";
    several_mistakes_at_once: "domian = \"home.example\"\n[listen]\nmain = \"localhost:7443\"\n[[agents]]\nname = \"lights\"\ncard_url = \"127.0.0.1:9001\"\n[[routes]]\nmatch = 'true'\nto = [{ agent = \"light\" }]\n";
    syntax_unquoted_text: "[[agents]]\nname = lights\n";
    syntax_unquoted_key: "[[agents]]\nname = \"lights\"\nlabels = { 楼层 = \"1\" }\n";
    syntax_unclosed: "[listen]\nmain = \"127.0.0.1:7443\nplain = \"off\"\n";
    syntax_several: "[listen\nmain = \"off\"\n[log]\nlevel = info\nformat = 'human\n";
    duplicate_key: "[log]\nlevel = \"info\"\naccess = true\nlevel = \"debug\"\n";
    duplicate_agents_and_instances: "[[agents]]\nname = \"lights\"\ncard_url = \"http://127.0.0.1:1/\"\n\n[[agents]]\nname = \"lights\"\ncard_url = \"http://127.0.0.1:2/\"\n[[agents.instances]]\nlabel = \"b\"\naddress = \"http://127.0.0.1:3/\"\n[[agents.instances]]\nlabel = \"b\"\naddress = \"http://127.0.0.1:4/\"\n";
    dangling_names: "[routing]\ndefault_agent = \"concierge\"\n[[agents]]\nname = \"lights\"\ncard_url = \"http://127.0.0.1:1/\"\n[[routes]]\nmatch = 'true'\nto = [{ agent = \"lights@b\" }, { agent = \"locks\" }]\n";
    bad_rules: "[[agents]]\nname = \"lights\"\ncard_url = \"http://127.0.0.1:1/\"\n[[routes]]\nmatch = 'operation == \"send\" && zoen == \"kitchen\"'\nto = [{ agent = \"lights\" }]\n[[routes]]\nmatch = \"skill.id == \\\"x\\\"\"\nto = [{ agent = \"lights\" }]\n[[policy]]\ndeny = 'agent =='\n";
    unsafe_listeners: "[listen]\nmain = \"0.0.0.0:7443\"\nplain = \"192.168.1.4:7480\"\nadmin = \"[::]:7444\"\n";
    issuers_that_prove_nothing: "[[issuers]]\nname = \"idp/1\"\nissuer = \"idp\"\njwks = \"http://idp.example/jwks\"\nscopes = [\"a2a:li*:send\"]\nalgorithms = [\"HS256\"]\n\n[[issuers]]\nname = \"b\"\nissuer = \"https://b.example\"\njwks = \"keys.json\"\naudience = []\nscopes = []\nalgorithms = []\n\n[[issuers]]\nname = \"b\"\naudience = [\"a\"]\nscopes = [\"register\"]\n";
    peers_that_nobody_could_be: "[[peers]]\ndomain = \"Car.example\"\nbundle = \"car.pem\"\nscopes = [\"register\"]\n\n[[peers]]\ndomain = \"car.example\"\ncrl = [\"ftp://car.example/crl\"]\nrevocation = \"sofd\"\n\n[[peers]]\ndomain = \"car.example\"\nbundle = \"b.pem\"\nrevocation = \"off\"\n\n[[devices]]\nname = \"a b\"\npin = \"sha1:abc\"\n\n[[devices]]\nname = \"c\"\n\n[[issuers]]\nname = \"idp\"\nissuer = \"https://idp.test\"\njwks = \"keys.json\"\naudience = [\"a\"]\nscopes = [\"a2a:*:*\"]\ndomain = \"boat.example\"\n";
    scopes_that_are_nearly_right: "[[devices]]\nname = \"a\"\npin = \"sha256:q0r8bXLEMq2tmlxHWrrJVZXc7RCTKV0Z8d3RTr1ZxGo=\"\nscopes = [\"A2A:x:send\", \"a2a:x\", \"a2a\", \"mcp\", \"a2:x:send\", \"Approve\", \"approve\", \"locks:*\", \"locks write\", \"admin:users\"]\n";
    agents_that_their_domain_cannot_have: "[[peers]]\ndomain = \"car.example\"\nbundle = \"car.pem\"\nrevocation = \"off\"\nagents = [\n  { spiffe = \"spiffe://van.example/nav\" },\n  { spiffe = \"spiffe://car.example.evil/nav\" },\n  { spiffe = \"spiffe://car.example/a//b\" },\n  { scopes = [\"a2a:x:send\"] },\n  { spiffe = \"spiffe://car.example/nav\", scope = [] },\n  { spiffe = \"spiffe://car.example/nav\", scopes = [\"register\"] },\n]\n";
    callers_that_look_like_others: "domain = \"home.example\"\npublic_url = \"http://agents.example\"\n\n[[issuers]]\nname = \"Device\"\nissuer = \"https://a.test\"\njwks = \"keys.json\"\naudience = [\"a\"]\nscopes = [\"a2a:*:*\"]\n\n[[issuers]]\nname = \"operator\"\nissuer = \"https://b.test\"\njwks = \"keys.json\"\naudience = [\"a\"]\nscopes = [\"a2a:*:*\"]\n\n[[issuers]]\nname = \"home.example\"\nissuer = \"https://c.test\"\njwks = \"keys.json\"\naudience = [\"a\"]\nscopes = [\"a2a:*:*\"]\n\n[oauth]\n\n[[devices]]\nname = \"panel\"\npin = \"sha256:q0r8bXLEMq2tmlxHWrrJVZXc7RCTKV0Z8d3RTr1ZxGo=\"\n\n[[devices]]\nname = \"lamp\"\npin = \"sha256:q0r8bXLEMq2tmlxHWrrJVZXc7RCTKV0Z8d3RTr1ZxGo=\"\n\n[[devices]]\nname = \"nothing\"\npin = \"sha256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"\n";
    a_domain_called_as_a_kind_of_caller: "domain = \"device\"\n";
    clashing_and_missing_listeners: "[listen]\nmain = \"127.0.0.1:7443\"\nplain = \"127.0.0.1:7443\"\nadmin = \"::1\"\n";
    all_listeners_off: "[listen]\nmain = \"off\"\nadmin = \"off\"\n";
    plain_http_to_other_machines: "[[agents]]\nname = \"a\"\ncard_url = \"http://10.0.0.7:9001/card\"\n[[agents]]\nname = \"b\"\ncard_url = \"http://8.8.8.8/card\"\ninsecure = true\n[[agents]]\nname = \"c\"\ncard_url = \"http://agent.example/card\"\n";
    agents_that_say_too_much_or_too_little: "[[agents]]\nname = \"a\"\n[[agents]]\nname = \"b\"\ncard_url = \"http://127.0.0.1:1/\"\naddress = \"http://127.0.0.1:1/\"\nskills = [\"x\"]\n[[agents]]\ncard_url = \"http://127.0.0.1:1/\"\nprotocol = \"GRPC\"\n[[agents]]\nname = \"tasks\"\naddress = \"http://127.0.0.1:1/\"\n[[agents]]\nname = \"copies\"\ninstances = [{ label = \"b\", address = \"http://127.0.0.1:1/\" }, { label = \"c d\" }]\n";
    channels_that_could_tell_nobody: "[[policy]]\nname = \"doors\"\nconfirm = 'true'\n\n[[notify]]\nname = \"a\"\n\n[[notify]]\nname = \"a\"\nkind = \"ntfi\"\n\n[[notify]]\nname = \"c\"\nkind = \"ntfy\"\nurl = \"http://ntfy.example/doors\"\nsecret = \"x\"\nrules = [\"door\"]\n\n[[notify]]\nname = \"d\"\nkind = \"webhook\"\nurl = \"ntfy.example\"\nsecret = \"hunter2\"\nclass = \"high\"\n\n[[notify]]\nname = \"e\"\nkind = \"webhook\"\nurl = \"http://8.8.8.8/\"\nsecret = \"whsec_AAAA\"\ninsecure = true\n";
     channels_whose_servers_make_no_sense: "[[notify]]\nname = \"a\"\nkind = \"mail\"\n\n[[notify]]\nname = \"b\"\nkind = \"mail\"\nurl = \"smtp://mail.example\"\nuser = \"gate\"\nfrom = \"Gate <gate@home.example>\"\nto = [\"ann@home.example\", \"bob@home.example\\nBcc: x@y\"]\ntopic = \"x\"\n\n[[notify]]\nname = \"c\"\nkind = \"mqtt\"\nurl = \"mqtts://broker.example/topic\"\ntopic = \"home/#\"\npassword = \"x\"\n\n[[notify]]\nname = \"d\"\nkind = \"mqtt\"\nurl = \"https://broker.example\"\ntopic = \"$SYS/x\"\n\n[[notify]]\nname = \"e\"\nkind = \"mail\"\nurl = \"smtp://8.8.8.8\"\ninsecure = true\nfrom = \"gate@home.example\"\n";
    missing_secrets: "domain = \"${DOMAIN}\"\n[[agents]]\nname = \"a\"\ncard_url = \"http://127.0.0.1:1/\"\nauthorization = { env = \"NOT_SET\" }\n[[agents]]\nname = \"b\"\ncard_url = \"http://127.0.0.1:1/\"\nauthorization = { fil = \"x\" }\n";
    policies_that_say_too_much_or_too_little: "[[policy]]\nname = \"empty\"\n[[policy]]\ndeny = 'true'\nallow = 'true'\n[[policy]]\nname = \"empty\"\nconfirm = 'true'\n";
    questions_that_nobody_could_answer: "[[policy]]\nname = \"safe\"\nconfirm = 'true'\nclass = \"critical\"\npeople = 2\n[[policy]]\nname = \"sensitive by default\"\ndeny = 'true'\n";
    signatures_that_no_card_could_meet: "[[agents]]\nname = \"a\"\naddress = \"http://127.0.0.1:1/\"\nskills = [\"x\"]\nsignature = \"require\"\n[[agents]]\nname = \"b\"\ncard = { name = \"b\" }\nsignature = \"require\"\n[[agents]]\nname = \"c\"\ncard_url = \"http://127.0.0.1:1/\"\njwks = \"http://keys.example/\"\nsignature = \"ignore\"\n[[agents]]\nname = \"d\"\ncard_url = \"http://127.0.0.1:1/\"\nsignature = \"always\"\n";
    credentials_that_say_too_much_or_too_little: "[[agents]]\nname = \"a\"\ncard_url = \"http://127.0.0.1:1/\"\nauthorization = \"Basic x\"\nauth = { bearer = \"y\", api_key = \"z\" }\n[[agents]]\nname = \"b\"\ncard_url = \"http://127.0.0.1:1/\"\nauth = {}\nclient_cert = \"c.pem\"\n[[agents]]\nname = \"c\"\ncard_url = \"http://127.0.0.1:1/\"\nauth = { api_key = \"k\", header = \"Host\" }\n[[agents]]\nname = \"d\"\ncard_url = \"http://127.0.0.1:1/\"\nauth = { oauth = { token_url = \"http://idp.example/token\", client_id = \"g\" } }\n";
    exchanges_that_nobody_could_judge: "[[agents]]\nname = \"a\"\ncard_url = \"http://127.0.0.1:1/\"\n[agents.auth.exchange]\nclient_id = \"g\"\nclient_secret = \"s\"\ntoken_url = \"https://idp.example/token\"\n[[agents]]\nname = \"b\"\ncard_url = \"http://127.0.0.1:1/\"\n[agents.auth.exchange]\nclient_id = \"g\"\nclient_secret = \"s\"\ntoken_url = \"http://idp.example/token\"\nscope = \"x\"\nsubject = \"tokens\"\n[[agents]]\nname = \"c\"\ncard_url = \"http://127.0.0.1:1/\"\n[agents.auth.exchange]\nclient_id = \"g\"\nclient_secret = \"s\"\ntoken_url = \"https://idp.example/token\"\nscope = \"x\"\nsubject = \"assertion\"\n";
    routes_without_agents: "[[routes]]\nmatch = 'true'\n[[routes]]\nmatch = 'true'\nto = []\n[[routes]]\nmatch = ''\nto = [{ agent = \"a\", weight = 0 }]\n[[agents]]\nname = \"a\"\ncard_url = \"http://127.0.0.1:1/\"\n";
    tables_that_are_not: "listen = \"127.0.0.1:7443\"\nagents = { name = \"a\" }\nroutes = [\"a\"]\n";
    half_a_certificate_and_an_unknown_store: "[tls]\ncert = \"cert.pem\"\n[store]\nurl = \"postgres://db/moongate\"\n[routing]\nheartbeat_seconds = 60\n";
    witnesses_that_nobody_could_be: "[audit]\nkeep_months = 0\nwitness_seconds = 0\n\n[[audit.witnesses]]\nname = \"a\"\nurl = \"ftp://w.example\"\nkey = \"w+00000000+AAAA\"\n\n[[audit.witnesses]]\nname = \"a\"\n\n[[audit.cosigns]]\norigin = \"van.example/audit\"\nkey = \"car.example/audit/2026-11+62e54815+AewmJ8WBabty6qnjCfF5zNTUE7xDJ7PI/D1u2UYDwfys\"\n\n[[audit.cosigns]]\norigin = \"van.example/audit\"\n";
    bad_address_ranges: "[egress]\nallow = [\"10.0.0.1/8\", \"fd00::/129\", \"home\"]\n";
    resolvers_that_are_no_addresses: "[egress]\ndns = \"sytem\"\n";
    resolvers_that_are_nowhere: "[egress]\ndns = \"0.0.0.0:53\"\n";
    wide_characters: "[[agents]]\nname = \"灯光\"\ncard_url = \"http://127.0.0.1:1/\"\nzone = \"厨房\" # 厨房里的灯\nlabels = { \"楼层\" = 1 }\nzoen = \"客厅\"\n";
}

#[test]
fn secrets_never_show_in_messages_or_debug() {
    let text = "[[agents]]\nname = \"a\"\ncard_url = \"http://127.0.0.1:1/\"\nauthorization = { env = \"TOKEN\" }\n";
    let loaded = read(text).unwrap();
    assert_eq!(loaded.config.agents[0].authorization.as_ref().unwrap().expose(), "Bearer abc");
    assert!(!format!("{loaded:?}").contains("abc"));
    let broken = read(&format!("{text}nope = 1\n")).unwrap_err();
    assert!(!broken.render(false).contains("abc"));
}

#[test]
fn an_unreadable_file_is_a_problem_of_its_own() {
    let problems =
        moongate_config::load(std::path::Path::new("/nonexistent/moongate.toml"), &super::rules).unwrap_err();
    assert_eq!(problems.mistakes()[0].code.to_string(), "MG-0101");
    assert!(problems.render(false).contains("hint: check the path"), "{problems:?}");
}

#[test]
fn colours_change_nothing_but_the_colours() {
    let problems = read("[limits]\nbody_byte = 1\n").unwrap_err();
    let mut plain = String::new();
    let mut escaped = false;
    for c in problems.render(true).chars() {
        match c {
            '\u{1b}' => escaped = true,
            'm' if escaped => escaped = false,
            _ if escaped => {}
            c => plain.push(c),
        }
    }
    assert_eq!(plain, problems.render(false));
}

#[test]
fn any_cut_of_a_good_file_is_survived() {
    let text = moongate_config::SAMPLE.replace("# ", "");
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)).step_by(7) {
        if let Err(problems) = read(&text[..end]) {
            assert!(!problems.render(false).is_empty());
        }
    }
}
