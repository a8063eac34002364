package debian

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"sort"
	"strings"
	"time"
)

// never is what no image needs: documentation, translations, and what dpkg and
// apt keep for themselves.
var never = []string{
	"/dev/*", "/proc/*", "/sys/*", "/boot",
	"/usr/share/doc", "/usr/share/man", "/usr/share/info", "/usr/share/locale", "/usr/share/i18n",
	"/usr/share/lintian", "/usr/share/bug", "/usr/share/bash-completion", "/usr/share/doc-base",
	"/usr/share/perl5", "/usr/share/perl", "/usr/lib/x86_64-linux-gnu/perl*", "/usr/bin/perl*", "/usr/lib/x86_64-linux-gnu/libperl*",
	"/usr/share/debconf", "/usr/share/initramfs-tools", "/usr/share/pixmaps", "/usr/share/icons",
	"/usr/lib/systemd", "/usr/lib/udev", "/usr/lib/init", "/etc/init.d", "/etc/systemd", "/etc/cron.d", "/etc/cron.daily", "/etc/logrotate.d",
	"/var/lib/dpkg", "/var/lib/apt", "/var/cache/*", "/var/log/*", "/etc/apt",
	"/var/run", "/var/lock", "/etc/resolv.conf", "/etc/hostname",
}

const (
	certificates = "/usr/share/ca-certificates"
	bundle       = "/etc/ssl/certs/ca-certificates.crt"
)

// filter copies the tar at from to the tar at to: only the files that the recipe
// wants, without times, owners' names and set-user-ID bits, in the order of their
// names. Certificates of authorities are also gathered in one file, which is what
// the script of ca-certificates would do.
func (r Recipe) filter(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	buf := bufio.NewWriterSize(f, 1<<20)
	out := tar.NewWriter(buf)

	var cas []ca
	dirs := map[string]bool{}
	src := tar.NewReader(bufio.NewReaderSize(in, 1<<20))
	for {
		h, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		name := path.Clean("/" + h.Name)
		if h.Typeflag == tar.TypeReg && strings.HasPrefix(name, certificates+"/") {
			pem, err := io.ReadAll(src)
			if err != nil {
				return err
			}
			cas = append(cas, ca{name, pem})
			continue
		}
		if name == "/" || !r.wants(name) {
			continue
		}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeSymlink, tar.TypeLink:
		case tar.TypeDir:
			// An empty tree that lost its files to the recipe is left out.
			dirs[name] = true
		default:
			continue // devices and sockets come from the container runtime
		}
		if err := out.WriteHeader(normal(h, name)); err != nil {
			return err
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := io.Copy(out, src); err != nil {
				return err
			}
		}
	}
	if err := gather(out, cas, dirs); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return buf.Flush()
}

// ca is the certificate of an authority.
type ca struct {
	name string
	pem  []byte
}

// gather writes the authorities to one file, and the folders above it that are not in
// dirs.
func gather(out *tar.Writer, cas []ca, dirs map[string]bool) error {
	if len(cas) == 0 {
		return nil
	}
	sort.Slice(cas, func(i, j int) bool { return cas[i].name < cas[j].name })
	var all bytes.Buffer
	for _, c := range cas {
		all.Write(bytes.TrimSpace(c.pem))
		all.WriteByte('\n')
	}
	for d, missing := path.Dir(bundle), []string(nil); ; d = path.Dir(d) {
		if d == "/" || dirs[d] {
			slices.Reverse(missing)
			for _, m := range missing {
				if err := out.WriteHeader(normal(&tar.Header{Typeflag: tar.TypeDir, Mode: 0o755}, m)); err != nil {
					return err
				}
			}
			break
		}
		missing = append(missing, d)
	}
	h := normal(&tar.Header{Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(all.Len())}, bundle)
	if err := out.WriteHeader(h); err != nil {
		return err
	}
	_, err := out.Write(all.Bytes())
	return err
}

func (r Recipe) wants(name string) bool {
	if under(never, name) || under(r.Drop, name) {
		return false
	}
	return len(r.Keep) == 0 || under(r.Keep, name) || slices.ContainsFunc(r.Keep, func(k string) bool { return strings.HasPrefix(k, name+"/") })
}

// under reports whether a pattern matches name or a directory above it.
func under(patterns []string, name string) bool {
	for d := name; d != "/"; d = path.Dir(d) {
		for _, p := range patterns {
			if ok, _ := path.Match(p, d); ok {
				return true
			}
		}
	}
	return false
}

// normal returns the header of an entry as every machine would write it.
func normal(h *tar.Header, name string) *tar.Header {
	n := &tar.Header{
		Typeflag: h.Typeflag,
		Name:     strings.TrimPrefix(name, "/"),
		Mode:     h.Mode & int64(fs.ModePerm),
		Uid:      h.Uid,
		Gid:      h.Gid,
		Size:     h.Size,
		ModTime:  time.Unix(0, 0),
		Format:   tar.FormatPAX,
	}
	switch h.Typeflag {
	case tar.TypeDir:
		n.Name += "/"
		n.Mode |= h.Mode & 0o1000 // sticky
	case tar.TypeSymlink:
		n.Linkname = h.Linkname
	case tar.TypeLink:
		n.Linkname = strings.TrimPrefix(path.Clean("/"+h.Linkname), "/")
	}
	return n
}

// validate reports a pattern that can never match.
func (r Recipe) validate() error {
	for _, p := range slices.Concat(never, r.Keep, r.Drop) {
		if _, err := path.Match(p, "/"); err != nil || !strings.HasPrefix(p, "/") {
			return fmt.Errorf("pattern %q of %s: it must be absolute and well-formed", p, strings.Join(r.Packages, ", "))
		}
	}
	return nil
}
