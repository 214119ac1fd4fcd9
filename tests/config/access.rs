//! Addresses and keys: who may reach a server.

use crate::given::{file, variable};

#[test]
fn listening_beyond_loopback_without_a_key_is_refused() {
    assert_eq!(
        file("[server]\nlisten = \"0.0.0.0:8080\"\n").findings(),
        [
            "lucida.toml:2: server.listen: `0.0.0.0:8080` is reachable from other machines, and no key is configured: \
             add one in [[auth.keys]], or listen on 127.0.0.1"
        ]
    );
    file(
        "[server]\nlisten = \"0.0.0.0:8080\"\n[[auth.keys]]\nname = \"a\"\nkey = \"opensesame\"\nuser = \"alice\"\nscopes = [\"read\"]\n",
    )
    .config();
}

#[test]
fn an_address_without_a_port_says_how_to_write_it() {
    assert_eq!(
        variable("LUCIDA_SERVER__LISTEN", "localhost").findings(),
        [
            "LUCIDA_SERVER__LISTEN: server.listen: `localhost` is not an address with a port; \
             expected one like 127.0.0.1:8080, localhost:8080, [::]:8080 or 8080"
        ]
    );
}

#[test]
fn a_key_is_given_in_exactly_one_way() {
    assert_eq!(
        file("[[auth.keys]]\nname = \"a\"\nuser = \"alice\"\nscopes = [\"read\"]\n").findings(),
        ["lucida.toml:1: auth.keys[0]: needs exactly one of `key`, `key_file` and `key_sha256`"]
    );
    assert_eq!(
        file(
            "[[auth.keys]]\nname = \"a\"\nkey = \"opensesame\"\nkey_file = \"k\"\nuser = \"alice\"\nscopes = [\"read\"]\n"
        )
        .findings(),
        ["lucida.toml:1: auth.keys[0]: needs exactly one of `key`, `key_file` and `key_sha256`"]
    );
}

#[test]
fn a_wrong_scope_user_or_digest_of_a_key_is_named() {
    assert_eq!(
        file("[[auth.keys]]\nname = \"a\"\nkey = \"opensesame\"\nuser = \"alice\"\nscopes = [\"reed\"]\n")
            .findings(),
        [
            "lucida.toml:5: auth.keys[0].scopes[0]: `reed` is not one of embed, read, write; did you mean `read`?"
        ]
    );
    let user =
        file("[[auth.keys]]\nname = \"a\"\nkey = \"opensesame\"\nuser = \"a/b\"\nscopes = [\"read\"]\n")
            .findings();
    assert_eq!(user.len(), 1);
    assert!(
        user[0].starts_with("lucida.toml:4: auth.keys[0].user: user `a/b` is not valid"),
        "{user:?}"
    );
    assert_eq!(
        file("[[auth.keys]]\nname = \"a\"\nkey_sha256 = \"abc\"\nuser = \"alice\"\nscopes = [\"read\"]\n")
            .findings(),
        ["lucida.toml:3: auth.keys[0].key_sha256: must be 64 hexadecimal digits, as `sha256sum` prints"]
    );
}
