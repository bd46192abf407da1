#!/usr/bin/perl
#
# test/lint/lint.pl LIBRARY UNCOMMENTED
#	Check the rules of the tree that no compiler checks.
#
# Run from the top of a built tree.  LIBRARY is the built .so, UNCOMMENTED the
# output of comments.sql.  Prints per rule "ok<TAB>rule" or
# "failed<TAB>rule" and then one line per place; the status tells whether all
# hold.

use strict;
use warnings;

my ($library, $uncommented) = @ARGV;
my @sources = sort glob('src/*.c src/*.h');
my @fragments = sort glob('src/install/*.sql');
my %text = map { $_ => slurp($_) } @sources, @fragments;
my $failures = 0;
my $string = qr/"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)'/;
my $balanced = qr/(\((?:[^()"']++|$string|['"]|(?-1))*+\))/;

rule('files of src/ include only their own layer and lower ones', layers());
rule('headers do not include each other in a circle', cycles());
rule('exported are only wh_*, pg_finfo_wh_*, _PG_init, Pg_magic_func',
	symbols());
rule('every error and warning has an errcode', errcodes());
rule('versions are tested in compat.h only', versions());
rule('cron.* is named in schedule.c only', scheduler());
rule('a control table is named in its own files only', tables());
rule('install SQL has no OR REPLACE, IF NOT EXISTS, SECURITY DEFINER',
	hygiene());
rule('install SQL qualifies every name and operator', qualified());
rule('every object of the extension has a COMMENT', comments());
rule('README.md lists every setting and every check of the doctor', listed());
rule('sources are indented as `make format` does', formatted())
	if `pg_bsd_indent --version 2>&1` =~ /2\.1\.1/;
rule('no source file is longer than 900 lines', lengths());
rule('no line ends in white space, every file in a line feed', spaces());
exit($failures > 0);

sub rule
{
	my ($name, @places) = @_;

	$failures++ if @places;
	print @places ? 'failed' : 'ok', "\t$name\n";
	print "$_\n" for @places;
}

sub slurp
{
	my ($file) = @_;

	open(my $in, '<', $file) or die "could not open $file: $!\n";
	local $/;
	return scalar <$in>;
}

# Blank out comments, and string literals too if asked, keeping line numbers.
sub code
{
	my ($file, $without_strings) = @_;
	my $text = $text{$file};
	my $blank = sub { my $s = shift; $s =~ s/[^\n]/ /g; $s };

	$text =~ s{($string)|(/\*.*?\*/)}
		{ defined $2 ? $blank->($2) : $without_strings ? $blank->($1) : $1 }gse;
	return $text;
}

# The same for SQL: comments, literals and what COMMENT ON says.
sub sql
{
	my ($file) = @_;
	my $text = $text{$file};
	my $blank = sub { my $s = shift; $s =~ s/[^\n]/ /g; $s };

	$text =~ s{('(?:[^']|'')*')|(--[^\n]*)|^(\\[^\n]*)}
		{ $blank->($1 // $2 // $3) }gme;
	return $text;
}

sub line_of
{
	my ($text, $offset) = @_;

	return 1 + (substr($text, 0, $offset) =~ tr/\n//);
}

# List "file:line: match" of a pattern in a text.
sub places
{
	my ($file, $text, $pattern) = @_;
	my @found;

	while ($text =~ /$pattern/g)
	{
		my ($match, $offset) = ($1 // $&, $-[0]);

		$match =~ s/\s+/ /g;
		push @found, "$file:" . line_of($text, $offset) . ": $match";
	}
	return @found;
}

# Read a table of "key<TAB>words" with comments.
sub table
{
	my ($file) = @_;

	return map { my ($key, $words) = split /\t/; [ $key, split ' ', $words ] }
		grep { !/^#|^\s*$/ } split /\n/, slurp($file);
}

sub stem
{
	my ($file) = @_;

	$file =~ s{^.*/|\.[ch]$}{}g;
	return $file;
}

# List the own headers that a file includes, by stem.
sub includes
{
	my ($file) = @_;
	my %own = map { stem($_) => 1 } grep { /\.h$/ } @sources;

	return grep { $own{$_} } $text{$file} =~ /^#include "(\w+)\.h"/mg;
}

sub layers
{
	my ($level, %level, @wrong) = (0);

	for my $layer (table('test/lint/layers'))
	{
		my (undef, @stems) = @$layer;

		$level{$_} = $level for @stems;
		$level++;
	}
	for my $file (@sources)
	{
		my $own = $level{ stem($file) };

		if (!defined $own)
		{
			push @wrong, "$file: is in no layer of test/lint/layers";
			next;
		}
		push @wrong, map { "$file: includes $_.h of a higher layer" }
			grep { ($level{$_} // 0) > $own } includes($file);
	}
	return @wrong;
}

sub cycles
{
	my %edges = map { stem($_) => [ includes($_) ] } grep { /\.h$/ } @sources;
	my (%done, @wrong);
	my $visit;

	$visit = sub {
		my ($header, @path) = @_;

		if (grep { $_ eq $header } @path)
		{
			push @wrong, join(' -> ', @path, $header);
			return;
		}
		return if $done{$header}++;
		$visit->($_, @path, $header) for @{ $edges{$header} };
	};
	$visit->($_) for sort keys %edges;
	return @wrong;
}

sub symbols
{
	my @names = map { (split)[-1] } `nm -D --defined-only $library`;

	return "nm found no symbol in $library" if !@names;
	return grep { !/^(?:pg_finfo_)?wh_\w+$|^_PG_init$|^Pg_magic_func$/ } @names;
}

sub errcodes
{
	my @wrong;

	for my $file (grep { /\.c$/ } @sources)
	{
		my $code = code($file, 1);

		while ($code =~ /\bereport\s*$balanced/g)
		{
			my $call = $1;
			my $line = line_of($code, $-[0]);

			next if $call =~ /^\(\s*(?:NOTICE|INFO|LOG|DEBUG\d)\b/;
			push @wrong, "$file:$line: ereport without errcode"
				if $call !~ /\berrcode/;
		}
	}
	return @wrong;
}

sub versions
{
	my $test =
		qr/^(\s*#\s*(?:el)?if[^\n]*(?:PG_VERSION_NUM|PG_MAJORVERSION|LIBPQ_HAS_)\w*)/m;

	return map { places($_, code($_), $test) }
		grep { $_ ne 'src/compat.h' } @sources;
}

sub scheduler
{
	return map { places($_, code($_), qr/\bcron\.\w+/) }
		grep { stem($_) ne 'schedule' } @sources;
}

sub tables
{
	my @wrong;

	for my $row (table('test/lint/tables'))
	{
		my ($table, @stems) = @$row;
		my %allowed = map { $_ => 1 } @stems;

		push @wrong, map { places($_, unspoken($_), qr/\b_wh\.$table\b(?!\()/) }
			grep { !$allowed{ stem($_) } } @sources;
	}
	return @wrong;
}

# The code without what it says to people: hints may name any table.
sub unspoken
{
	my $text = code($_[0]);

	$text =~ s{\berr(?:msg|detail|hint)\w*\s*$balanced}
		{ my $s = $&; $s =~ s/[^\n]/ /g; $s }ge;
	return $text;
}

sub hygiene
{
	my $banned =
		qr/\b(?:OR\s+REPLACE|IF\s+NOT\s+EXISTS|SECURITY\s+DEFINER)\b/i;

	return map { places($_, sql($_), $banned) } @fragments;
}

# What is created, read and called has a schema; what runs at other times than
# the installation (bodies and views) spells its operators out.
sub qualified
{
	my $grammar = join '|', qw(cast coalesce exists extract greatest least
		nullif operator row values);
	my @wrong;

	for my $file (@fragments)
	{
		my $sql = sql($file);

		# A name given by WITH hides every other one.
		for my $with ($sql =~ /(?:\bWITH|\),)\s+(\w+)\s+AS\s+(?:MATERIALIZED\s+)?\(/gi)
		{
			$sql =~ s/\b((?:FROM|JOIN)\s+)$with\b(?!\.)/$1_wh.$with/gi;
		}

		push @wrong, places($file, $sql, qr/\bCREATE\s+(?:UNIQUE\s+)?
			((?:FUNCTION|PROCEDURE|TABLE|VIEW|TYPE|SEQUENCE|DOMAIN|AGGREGATE)
			\s+(?!_wh\.)\w+)/xi);
		push @wrong, places($file, $sql, qr/\b((?:INTO|UPDATE|JOIN|ON|REFERENCES)
			\s+(?!_wh\.|pg_catalog\.|LATERAL\b|OR\b|CONFLICT\b|DELETE\b|UPDATE\b
			|INSERT\b|ALL\b|SCHEMA\b|TABLE\b|FUNCTION\b|PROCEDURE\b|COLUMN\b
			|VIEW\b|TYPE\b|FOREIGN\b|SERVER\b|TRIGGER\b|EXECUTE\b|OF\b|true\b|\w+\.\w+\s+OPERATOR
			|ON\b|\w+\.\w+\s+IS)\w+)/xi);
		push @wrong, places($file, $sql, qr/\bFROM\s+
			((?!_wh\.|pg_catalog\.|PUBLIC\b)\w+(?!\w|\.))/xi);
		push @wrong, places($file, $sql,
			qr/(?<![\w.])(?!(?:$grammar)\()([a-z_]\w*\()/i);

		while ($sql =~ /\bCREATE\s+(?:VIEW\b|FUNCTION\b.*?\b(?:RETURN|ATOMIC)\b)
			[^;]*/gsxi)
		{
			my ($body, $start) = ($&, $-[0]);

			next if $body =~ /LANGUAGE\s+c\b/i;
			$body =~ s{OPERATOR\([^()]*\)|::|\(\*\)|SELECT\s+\*|\.\*|=>}
				{ my $s = $&; $s =~ s/[^\n]/ /g; $s }gesx;
			push @wrong, map { s/:(\d+):/':' . ($1 + line_of($sql, $start) - 1) . ':'/e;
				"$_ needs OPERATOR(pg_catalog...)" }
				places($file, $body, qr{[-+*/<>=~!@#%^&|`?]+});
		}
	}
	return @wrong;
}

sub comments
{
	my @lines = split /\n/, slurp($uncommented);

	return (@lines, 'comments.sql did not finish')
		if !@lines || $lines[-1] ne 'searched';
	pop @lines;
	return @lines;
}

# What is in one place and not in the other: settings of guc.c, checks of
# doctor.c, rows of README.md's tables.
sub listed
{
	my $readme = slurp('README.md');
	my ($checks) = $text{'src/doctor.c'} =~ /^static const Check checks\[\] = \{(.*?)^\};/ms;
	my ($described) = $readme =~ /^`wh_doctor\(\)` looks at this(.*?)^### /ms;
	my @found;

	for my $pair (
		[ 'setting', [ $text{'src/guc.c'} =~ /"(pg_warehouse\.\w+)"/g ], [ map { /`([\w.]+)`/g } $readme =~ /^\| (`pg_warehouse\.\w+`(?:, `[\w.]+`)*) \|/mg ] ],
		[ 'check', [ $checks =~ /\{"(\w+)",/g ],
			[ map { /`(\w+)`/g } $described =~ /^\| (`\w+`(?:, `\w+`)*) \|/mg ] ])
	{
		my ($what, $there, $told) = @$pair;
		my %times;

		$times{$_} |= 1 for @$there;
		$times{$_} |= 2 for @$told;
		push @found, map { "$what $_ is " . ($times{$_} == 1 ? 'not in README.md' : 'in README.md only') }
			grep { $times{$_} != 3 } sort keys %times;
	}
	return @found;
}

sub formatted
{
	my @files = split /\n/, `test/format.sh -n 2>&1`;

	push @files, 'test/format.sh failed' if $?;
	return @files;
}

sub lengths
{
	return map {
		my $lines = slurp($_) =~ tr/\n//;
		$lines > 900 ? "$_: $lines lines" : ()
	} @sources, @fragments, glob('test/*.sh test/*/*.p[lm] test/bench/*.py examples/*/*.sh');
}

sub spaces
{
	my @files = (@sources, @fragments,
		glob('Makefile *.md META.json *.control .ci/run sql/*.sql sql/*/*.sql src/*.md'),
		glob('test/*.sh test/lint/* test/t/*.pl test/isolation/specs/*.spec'),
		glob('test/bench/*'),
		glob('examples/*/*.sh examples/*/*.sql examples/*/*.md debian/*'));
	my @wrong;

	for my $file (grep { -f } @files)
	{
		my $text = slurp($file);

		push @wrong, map { "$_ trailing white space" }
			map { /^(\S+:\d+:)/ } places($file, $text, qr/[ \t\r]+$/m);
		push @wrong, "$file: no line feed at the end" if $text !~ /\n\z/;
	}
	return @wrong;
}
