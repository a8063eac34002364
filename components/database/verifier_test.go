package database

import (
	"strings"
	"testing"
)

// The expected value was made by PostgreSQL's own algorithm, worked out apart from
// this package with Python's hashlib: iteration count, salt, keys and their order.
func TestVerifierIsWhatPostgreSQLStores(t *testing.T) {
	got, err := Verifier("pencil", "W22ZaJ0SNY7soEsUEjb6gQ")
	if err != nil {
		t.Fatal(err)
	}
	const want = "SCRAM-SHA-256$4096:v+BkMHUq5laxXxEX6BWXdg==$khzUaiadmuMk2hIGS/QG+4dRFAMihNmnT1QcNBGXOf0=:Dy6iteLwv+WiO7UGnixycRWnJQ9bcou4PrjiBIsjZGc="
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestVerifierChangesWithPasswordAndSalt(t *testing.T) {
	of := func(password, salt string) string {
		v, err := Verifier(password, salt)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if first, again := of("a", "s"), of("a", "s"); first != again {
		t.Error("the same password and salt give two verifiers: every update would restart the database")
	}
	if of("a", "s") == of("b", "s") {
		t.Error("two passwords give one verifier")
	}
	if of("a", "s") == of("a", "r") {
		t.Error("two salts give one verifier")
	}
	if strings.Contains(of("correct-horse", "s"), "correct-horse") {
		t.Error("the verifier contains the password")
	}
}

func TestVerifierRefusesWhatSASLprepWouldChange(t *testing.T) {
	for _, password := range []string{"", "pass\u00e4word", "tab\there", "line\n"} {
		if v, err := Verifier(password, "s"); err == nil {
			t.Errorf("%q gives %s, want an error", password, v)
		} else if password != "" && strings.Contains(err.Error(), password) {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}
