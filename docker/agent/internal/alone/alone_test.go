package alone

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// on is a server on a volume of its own, whose initdb fails or makes a database.
func on(t *testing.T, fails bool) (s *Server, volume string, became *[]string) {
	t.Helper()
	volume, became = t.TempDir(), new([]string)
	return &Server{
		Bin: "/bin", Data: filepath.Join(volume, "data"), Log: slog.New(slog.DiscardHandler),
		Run: func(_ context.Context, program string, args ...string) error {
			if program != "/bin/initdb" || !slices.Contains(args, "--data-checksums") {
				t.Errorf("%s %q", program, args)
			}
			folder := strings.TrimPrefix(args[len(args)-1], "--pgdata=")
			write(t, filepath.Join(folder, "base"), "")
			if fails {
				return errors.New("no room")
			}
			write(t, filepath.Join(folder, "PG_VERSION"), "17\n")
			return nil
		},
		Become: func(program string, args []string) error {
			*became = append([]string{program}, args...)
			return nil
		},
	}, volume, became
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

func TestNewDatabaseOnAnEmptyVolume(t *testing.T) {
	s, volume, became := on(t, false)
	// As the image brings it.
	if err := os.Mkdir(s.Data, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), []string{"-c", "x=y"}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"/bin/postgres", "postgres", "-D", s.Data, "-c", "x=y"}; !slices.Equal(*became, want) {
		t.Errorf("became %q, want %q", *became, want)
	}
	if info, err := os.Stat(s.Data); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	// The second time nothing is made.
	s.Run = func(context.Context, string, ...string) error { t.Error("made anew"); return nil }
	if err := s.Start(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(volume, "new")); err == nil {
		t.Error("something is left")
	}
}

// What is there is never taken for an empty volume, and half a database never for one.
func TestNothingIsOverwritten(t *testing.T) {
	for what, c := range map[string]struct {
		file, says string
	}{
		"somebody's file":          {"data/precious", "left as it is"},
		"a restore that has begun": {"restoring", "did not end"},
	} {
		s, volume, became := on(t, false)
		write(t, filepath.Join(volume, c.file), "x")
		if err := s.Start(t.Context(), nil); err == nil || !strings.Contains(err.Error(), c.says) || *became != nil {
			t.Errorf("%s: %v, want %q; became %q", what, err, c.says, *became)
		}
		if _, err := os.Stat(filepath.Join(volume, c.file)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	s, _, became := on(t, true)
	if err := s.Start(t.Context(), nil); err == nil || *became != nil {
		t.Errorf("%v; became %q of half a database", err, *became)
	}
	if _, err := os.Stat(filepath.Join(s.Data, "PG_VERSION")); err == nil {
		t.Error("half a database is in the place of one")
	}
}
