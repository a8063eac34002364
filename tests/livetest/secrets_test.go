package livetest

import (
	"encoding/base64"
	"reflect"
	"testing"
)

const exported = `{"version": 3, "deployment": {"resources": [
  {"urn": "urn:pulumi:dev::alphapulse::pulumi:pulumi:Stack::alphapulse-dev", "type": "pulumi:pulumi:Stack"},
  {"urn": "urn:pulumi:dev::alphapulse::a:b:C$random:index/randomPassword:RandomPassword::database-admin", "type": "random:index/randomPassword:RandomPassword",
   "outputs": {"length": 32, "bcryptHash": {"plaintext": "\"$2a$10$hash\""}, "result": {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "plaintext": "\"s3cret/with+signs\""}}},
  {"urn": "urn:pulumi:dev::alphapulse::kubernetes:core/v1:Secret::x", "type": "kubernetes:core/v1:Secret", "outputs": {"result": {"plaintext": "\"not generated here\""}}}
]}}`

// A secret is found in whatever form a program may have printed it, and nothing else is.
func TestLeaks(t *testing.T) {
	secrets, err := Generated([]byte(exported))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"database-admin": "s3cret/with+signs"}
	if !reflect.DeepEqual(secrets, want) {
		t.Errorf("generated are %v, want %v", secrets, want)
	}
	for text, leaks := range map[string][]string{
		"connecting to postgres://admin:s3cret%2Fwith%2Bsigns@database/alphapulse": {"database-admin"},
		"password=s3cret/with+signs": {"database-admin"},
		"Authorization: " + base64.StdEncoding.EncodeToString([]byte("s3cret/with+signs")): {"database-admin"},
		"s3cret/with another end, $2a$10$hash, not generated here":                         nil,
	} {
		if got := Leaks(text, secrets); !reflect.DeepEqual(got, leaks) {
			t.Errorf("%q leaks %v, want %v", text, got, leaks)
		}
	}
	if _, err := Generated([]byte(`{"deployment": {"resources": []}}`)); err == nil {
		t.Error("a state without any secret is taken for one that was searched")
	}
}
